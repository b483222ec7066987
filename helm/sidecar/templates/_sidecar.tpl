{{/*
What puts the sidecar into a pod. Each template takes this chart's own scope: inside this chart that is `.`, in a chart
that depends on it `.Subcharts.sidecar` (or the alias of the dependency).
*/}}

{{/* The container, an item of initContainers: it starts before the app and ends after it, Jobs included. */}}
{{- define "sidecar.container" -}}
- name: sidecar
  image: {{ include "sidecar.image" . | quote }}
  imagePullPolicy: {{ .Values.image.pullPolicy }}
  restartPolicy: Always
  args: [run, --config, /etc/sidecar/sidecar.yaml]
  ports:
    - {name: sidecar-ops, containerPort: {{ .Values.ops.port }}, protocol: TCP}
  {{- with .Values.env }}
  env:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.envFrom }}
  envFrom:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  startupProbe:
    httpGet: {path: {{ .Values.startup.path }}, port: sidecar-ops}
    periodSeconds: {{ .Values.startup.periodSeconds }}
    failureThreshold: {{ include "sidecar.startupFailures" . }}
    timeoutSeconds: 2
  {{- if .Values.readiness.enabled }}
  readinessProbe:
    httpGet: {path: /readyz, port: sidecar-ops}
    periodSeconds: {{ .Values.readiness.periodSeconds }}
    timeoutSeconds: 2
  {{- end }}
  livenessProbe:
    httpGet: {path: /healthz, port: sidecar-ops}
    periodSeconds: {{ .Values.liveness.periodSeconds }}
    failureThreshold: {{ .Values.liveness.failureThreshold }}
    timeoutSeconds: 2
  resources:
    {{- toYaml .Values.resources | nindent 4 }}
  securityContext:
    {{- include "sidecar.containerSecurityContext" (dict "user" .Values.user "group" .Values.group) | nindent 4 }}
  volumeMounts:
    - {name: sidecar, mountPath: {{ .Values.socket.path }}}
    - {name: sidecar-config, mountPath: /etc/sidecar, readOnly: true}
    {{- with .Values.volumeMounts }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end }}

{{/* Items of the pod's volumes. */}}
{{- define "sidecar.volumes" -}}
- name: sidecar
  emptyDir: {medium: Memory, sizeLimit: {{ .Values.socket.sizeLimit }}}
- name: sidecar-config
  configMap: {name: {{ include "sidecar.fullname" . }}}
{{- with .Values.volumes }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Items of the app's volumeMounts. Read-only: an app connects to the socket, but cannot put another in its place. */}}
{{- define "sidecar.volumeMounts" -}}
- {name: sidecar, mountPath: {{ .Values.socket.path }}, readOnly: true}
{{- end }}

{{/* Items of the app's env: where the socket is, for the commands and the Python client. */}}
{{- define "sidecar.env" -}}
- {name: SIDECAR_SOCKET, value: {{ include "sidecar.socket" . | quote }}}
{{- end }}

{{/* The pod's annotations: a new configuration begins new pods. */}}
{{- define "sidecar.podAnnotations" -}}
sidecar/config-checksum: {{ include "sidecar.config" . | sha256sum }}
{{- with .Values.credentials.skipContainers }}
eks.amazonaws.com/skip-containers: {{ join "," . | quote }}
{{- end }}
{{- end }}

{{/* The pod's labels, by which PodMonitor and NetworkPolicy find it. */}}
{{- define "sidecar.podLabels" -}}
sidecar/release: {{ include "sidecar.fullname" . }}
{{- end }}

{{/* The pod's securityContext. */}}
{{- define "sidecar.podSecurityContext" -}}
seccompProfile: {type: RuntimeDefault}
{{- if not (kindIs "invalid" .Values.socket.group) }}
supplementalGroups: [{{ .Values.socket.group | int64 }}]
{{- if .Values.socket.fsGroup }}
fsGroup: {{ .Values.socket.group | int64 }}
{{- end }}
{{- end }}
{{- end }}

{{/* What belongs into the pod's spec beside containers, volumes and securityContext. */}}
{{- define "sidecar.podSpec" -}}
serviceAccountName: {{ include "sidecar.serviceAccountName" . }}
automountServiceAccountToken: false
{{- if .Values.shareProcessNamespace }}
shareProcessNamespace: true
{{- end }}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - {name: {{ . }}}
  {{- end }}
{{- end }}
{{- end }}

{{/* A container's securityContext; takes a dict of user and group. */}}
{{- define "sidecar.containerSecurityContext" -}}
runAsNonRoot: true
runAsUser: {{ .user | int64 }}
runAsGroup: {{ .group | int64 }}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
seccompProfile: {type: RuntimeDefault}
{{- end }}
