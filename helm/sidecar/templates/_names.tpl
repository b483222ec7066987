{{/* Names, and what is worked out from values. Private to this chart; the ones for others are in _sidecar.tpl. */}}

{{- define "sidecar.fullname" -}}
{{- $name := .Release.Name }}
{{- if not (contains .Chart.Name .Release.Name) }}
{{- $name = printf "%s-%s" .Release.Name .Chart.Name }}
{{- end }}
{{- $name | trunc 48 | trimSuffix "-" }}
{{- end }}

{{- define "sidecar.labels" -}}
app.kubernetes.io/name: sidecar
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "sidecar-%s" .Chart.Version }}
{{- end }}

{{- define "sidecar.image" -}}
{{- $repository := required "image.repository is missing: say where your registry holds the sidecar's image, for example --set image.repository=team/sidecar" .Values.image.repository }}
{{- $tag := required "image.tag is missing: say which version of the image runs, for example --set image.tag=0.1.0" .Values.image.tag }}
{{- printf "%s:%s" $repository $tag }}
{{- with .Values.image.digest }}@{{ . }}{{ end }}
{{- end }}

{{- define "sidecar.socket" -}}
{{- printf "%s/sidecar.sock" (trimSuffix "/" .Values.socket.path) }}
{{- end }}

{{- define "sidecar.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- .Values.serviceAccount.name | default (include "sidecar.fullname" .) }}
{{- else }}
{{- .Values.serviceAccount.name | default "default" }}
{{- end }}
{{- end }}

{{/* How often the startup probe may fail: the budget in periods, rounded up. */}}
{{- define "sidecar.startupFailures" -}}
{{- with .Values.startup }}
{{- $budget := addf .floorSeconds (mulf 2 .planSeconds) }}
{{- divf $budget .periodSeconds | ceil | int64 }}
{{- end }}
{{- end }}

{{/* The daemon's configuration as it is in the ConfigMap. Not run through `tpl`: {{resolve:…}} is a reference. */}}
{{- define "sidecar.config" -}}
{{- $listen := .Values.config.listen | default dict }}
{{- $unix := $listen.unix | default dict }}
{{- if hasKey $listen "ops" }}
{{- fail "config.listen.ops is set by the chart: give the port in ops.port" }}
{{- end }}
{{- if or (hasKey $unix "path") (hasKey $unix "group") }}
{{- fail "config.listen.unix.path and .group are set by the chart: give the folder in socket.path and the gid in socket.group" }}
{{- end }}
{{- $socket := dict "path" (include "sidecar.socket" .) }}
{{- if not (kindIs "invalid" .Values.socket.group) }}
{{- $_ := set $socket "group" (.Values.socket.group | int64) }}
{{- end }}
{{- $own := dict "listen" (dict "ops" (printf "0.0.0.0:%d" (.Values.ops.port | int64)) "unix" $socket) }}
{{- mustMergeOverwrite (deepCopy .Values.config) $own | toYaml }}
{{- end }}

{{/* The port of the fleet's Redis, "" where there is none. */}}
{{- define "sidecar.redisPort" -}}
{{- $store := dig "fleet" "store" "" .Values.config }}
{{- if regexMatch "^(redis|valkey)s?://" $store }}
{{- regexFind "[0-9]+$" (regexFind ":[0-9]+$" (urlParse $store).host) | default "6379" }}
{{- end }}
{{- end }}
