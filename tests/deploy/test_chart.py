"""The chart as operators use it: what each value changes, and what Kubernetes says of the result."""

from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from kubernetes_validate.utils import validate

import sidecar
from sidecar.accounts import SystemAccounts
from sidecar.core.config.loading import load
from sidecar.core.config.schema import schema
from tests.deploy.charts import CHART, IMAGE, Helm, Manifest, Values

OLDEST, NEWEST = "1.29", "1.37"
"""The first version with native sidecars, and the newest that the schemas know."""

CONFIG: Values = {
    "secrets": {"db-password": "sm:prod/db#password", "old": "{{resolve:ssm:/prod/old}}"},
    "trees": {"app": "ssm:/prod/app/"},
    "identities": {"default": {"region": "eu-west-1"}},
    "listen": {"unix": {"mode": "0660"}},
    "files": [{"path": "/run/sidecar/db", "secret": "db-password", "mode": "0440"}],
}
PEER = {"ipBlock": {"cidr": "10.0.0.0/16"}}
MONITORING: Values = {
    "podMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
    "prometheusRule": {"enabled": True},
    "dashboard": {"enabled": True, "annotations": {"grafana_folder": "Secrets"}},
}
REDIS: Values = {"fleet": {"store": "rediss://redis.shop:6380/0", "name": "prod"}}

VALUE_SETS: dict[str, Values] = {
    "nothing but the image": {},
    "configured": {"config": CONFIG},
    "role by IRSA": {
        "config": CONFIG,
        "serviceAccount": {"roleArn": "arn:aws:iam::111111111111:role/app"},
        "credentials": {"skipContainers": ["app"]},
    },
    "an account that exists": {"serviceAccount": {"create": False, "name": "app"}},
    "a job": {"config": CONFIG, "workload": {"kind": "Job"}},
    "monitored": MONITORING,
    "fenced in": {"networkPolicy": {"enabled": True, "scrapers": [PEER], "aws": [PEER]}, "config": REDIS},
    "signals": {"shareProcessNamespace": True, "user": 1000, "workload": {"user": 1000}},
    "a slow start": {"startup": {"path": "/healthz", "planSeconds": 310.4, "periodSeconds": 5}},
    "an app of one's own": {
        "workload": {"image": {"repository": "team/app", "tag": "v2"}, "env": [{"name": "A", "value": "b"}]},
        "socket": {"path": "/var/run/secrets-sidecar", "fsGroup": True, "group": 3000, "sizeLimit": "32Mi"},
        "volumes": [{"name": "redis", "secret": {"secretName": "redis"}}],
        "volumeMounts": [{"name": "redis", "mountPath": "/etc/redis", "readOnly": True}],
        "env": [{"name": "AWS_REGION", "value": "eu-west-1"}],
        "envFrom": [{"configMapRef": {"name": "more"}}],
        "image": {**IMAGE, "digest": "sha256:" + "0" * 64, "pullSecrets": ["registry"]},
    },
}


class TestLint:
    """What helm itself says."""

    def test_strict(self, helm: Helm) -> None:
        """No error and no warning, with and without an image."""
        done = helm.run("lint", "--strict", str(CHART))
        assert (done.returncode, "[WARNING]" in done.stdout) == (0, False), done.stdout + done.stderr

    def test_the_version_is_the_programs(self) -> None:
        """The chart runs what it was made with."""
        chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
        assert chart["version"] == chart["appVersion"] == sidecar.__version__

    def test_notes(self, helm: Helm) -> None:
        """They say how to look, and which grant is missing."""
        done = helm.run("install", "shop", str(CHART), "--dry-run=client", "--set", "image.repository=a,image.tag=v1")
        notes = done.stdout.partition("NOTES:")[2]
        assert "exec deploy/shop-sidecar-example -c sidecar -- sidecar list" in notes
        assert "create-pod-identity-association" in notes


@pytest.mark.parametrize("values", VALUE_SETS.values(), ids=VALUE_SETS.keys())
class TestEverySet:
    """What holds whatever is set."""

    @pytest.mark.parametrize("version", [OLDEST, NEWEST])
    def test_kubernetes_takes_it(self, helm: Helm, values: Values, version: str) -> None:
        """Every manifest but those of the Prometheus Operator, strictly: no field is unknown."""
        manifests = [each for each in helm.render(values).manifests if "monitoring" not in each["apiVersion"]]
        assert len(manifests) >= 2
        for manifest in manifests:
            assert validate(manifest, version, strict=True) == version

    def test_the_daemon_takes_the_configuration(self, helm: Helm, values: Values) -> None:
        """It has no problem, and fits the schema that ships."""
        config = helm.render(values).config
        Draft202012Validator(schema()).validate(config)
        loaded = load(file=("values", yaml.safe_dump(config)), environ={}, accounts=SystemAccounts())
        assert loaded.listen.ops is not None
        assert loaded.listen.ops.host == "0.0.0.0"

    def test_the_sidecar_may_next_to_nothing(self, helm: Helm, values: Values) -> None:
        """As Kubernetes' restricted standard wants it, and the app likewise."""
        rendered = helm.render(values)
        for container in (rendered.sidecar, rendered.app):
            context = container["securityContext"]
            assert context["runAsUser"] > 0
            assert (
                context.items()
                >= {
                    "runAsNonRoot": True,
                    "allowPrivilegeEscalation": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                    "seccompProfile": {"type": "RuntimeDefault"},
                }.items()
            )
        assert rendered.pod["automountServiceAccountToken"] is False

    def test_no_registry_is_named(self, helm: Helm, values: Values) -> None:
        """Images are where the values say, and nowhere else."""
        rendered = helm.render(values)
        assert {container["image"].partition("/")[0] for container in (rendered.sidecar, rendered.app)} == {"team"}


class TestContainer:
    """The sidecar in the pod."""

    def test_is_a_native_sidecar(self, helm: Helm) -> None:
        """An init container that goes on running: it starts before the app, and a Job ends without it."""
        rendered = helm.render()
        assert rendered.sidecar["restartPolicy"] == "Always"
        assert [each["name"] for each in rendered.pod["containers"]] == ["app"]

    def test_probes(self, helm: Helm) -> None:
        """Each asks its own question, on the ops port."""
        sidecar_ = helm.render().sidecar
        asked = {name: sidecar_[name]["httpGet"] for name in ("startupProbe", "readinessProbe", "livenessProbe")}
        assert asked == {
            "startupProbe": {"path": "/readyz", "port": "sidecar-ops"},
            "readinessProbe": {"path": "/readyz", "port": "sidecar-ops"},
            "livenessProbe": {"path": "/healthz", "port": "sidecar-ops"},
        }
        assert sidecar_["ports"] == [{"name": "sidecar-ops", "containerPort": 9102, "protocol": "TCP"}]

    @pytest.mark.parametrize(
        ("startup", "failures"),
        [({}, 30), ({"planSeconds": 100}, 130), ({"planSeconds": 310.4, "periodSeconds": 5}, 137)],
        ids=["floor", "plan", "rounded up"],
    )
    def test_the_startup_budget_covers_the_plan_twice(
        self, helm: Helm, startup: dict[str, float], failures: int
    ) -> None:
        """Failures times period is the floor and twice what `sidecar plan` says."""
        probe = helm.render({"startup": startup}).sidecar["startupProbe"]
        assert probe["failureThreshold"] == failures

    def test_the_app_may_start_without_its_secrets(self, helm: Helm) -> None:
        """With the startup probe on /healthz; readiness still tells."""
        rendered = helm.render({"startup": {"path": "/healthz"}})
        assert rendered.sidecar["startupProbe"]["httpGet"]["path"] == "/healthz"
        assert rendered.sidecar["readinessProbe"]["httpGet"]["path"] == "/readyz"

    def test_readiness_can_be_left_out(self, helm: Helm) -> None:
        """Then a missing secret keeps the pod in its Services."""
        assert "readinessProbe" not in helm.render({"readiness": {"enabled": False}}).sidecar

    def test_probes_have_their_periods(self, helm: Helm) -> None:
        """As they are set."""
        sidecar_ = helm.render(
            {"readiness": {"periodSeconds": 3}, "liveness": {"periodSeconds": 4, "failureThreshold": 9}}
        ).sidecar
        assert sidecar_["readinessProbe"]["periodSeconds"] == 3
        assert (sidecar_["livenessProbe"]["periodSeconds"], sidecar_["livenessProbe"]["failureThreshold"]) == (4, 9)

    def test_ops_port(self, helm: Helm) -> None:
        """Daemon and probes move together."""
        rendered = helm.render({"ops": {"port": 9200}})
        assert rendered.config["listen"]["ops"] == "0.0.0.0:9200"
        assert rendered.sidecar["ports"][0]["containerPort"] == 9200

    def test_user_and_resources(self, helm: Helm) -> None:
        """As they are set; memory is bounded, the processor is not."""
        assert (
            helm.render({"user": 1000, "group": 1001}).sidecar["securityContext"].items()
            >= {
                "runAsUser": 1000,
                "runAsGroup": 1001,
            }.items()
        )
        assert helm.render().sidecar["resources"]["limits"] == {"memory": "160Mi"}
        set_ = {"limits": {"memory": "300Mi"}}
        assert helm.render({"resources": set_}).sidecar["resources"]["limits"] == {"memory": "300Mi"}

    def test_image(self, helm: Helm) -> None:
        """Repository, tag, digest, policy, and the secrets to pull it with."""
        image = {**IMAGE, "digest": f"sha256:{'a' * 64}", "pullPolicy": "Always", "pullSecrets": ["one", "two"]}
        rendered = helm.render({"image": image})
        assert rendered.sidecar["image"] == f"team/sidecar:v1@sha256:{'a' * 64}"
        assert rendered.sidecar["imagePullPolicy"] == "Always"
        assert rendered.pod["imagePullSecrets"] == [{"name": "one"}, {"name": "two"}]

    def test_what_is_added(self, helm: Helm) -> None:
        """Environment, mounts and volumes, beside the chart's own."""
        rendered = helm.render(VALUE_SETS["an app of one's own"])
        assert rendered.sidecar["env"] == [{"name": "AWS_REGION", "value": "eu-west-1"}]
        assert rendered.sidecar["envFrom"] == [{"configMapRef": {"name": "more"}}]
        assert [each["name"] for each in rendered.sidecar["volumeMounts"]] == ["sidecar", "sidecar-config", "redis"]
        assert [each["name"] for each in rendered.pod["volumes"]] == ["sidecar", "sidecar-config", "redis"]


class TestPod:
    """What the pod is given for it."""

    def test_the_volume_is_memory(self, helm: Helm) -> None:
        """Bounded, and read-only for the app: it cannot put another socket in the place."""
        rendered = helm.render({"socket": {"sizeLimit": "32Mi"}})
        assert rendered.pod["volumes"][0] == {"name": "sidecar", "emptyDir": {"medium": "Memory", "sizeLimit": "32Mi"}}
        assert rendered.app["volumeMounts"] == [{"name": "sidecar", "mountPath": "/run/sidecar", "readOnly": True}]

    def test_where_the_socket_is(self, helm: Helm) -> None:
        """Daemon, mounts and the app's environment agree."""
        rendered = helm.render({"socket": {"path": "/run/other"}})
        assert rendered.config["listen"]["unix"]["path"] == "/run/other/sidecar.sock"
        assert rendered.sidecar["volumeMounts"][0]["mountPath"] == "/run/other"
        assert rendered.app["volumeMounts"][0]["mountPath"] == "/run/other"
        assert rendered.app["env"] == [{"name": "SIDECAR_SOCKET", "value": "/run/other/sidecar.sock"}]

    def test_the_socket_has_a_group(self, helm: Helm) -> None:
        """In which every container of the pod is."""
        rendered = helm.render({"socket": {"group": 3000}})
        assert rendered.config["listen"]["unix"]["group"] == 3000
        assert rendered.pod["securityContext"]["supplementalGroups"] == [3000]
        assert "fsGroup" not in rendered.pod["securityContext"]

    def test_volumes_can_be_the_groups(self, helm: Helm) -> None:
        """By fsGroup, where that is wanted."""
        context = helm.render({"socket": {"fsGroup": True}}).pod["securityContext"]
        assert (context["fsGroup"], context["supplementalGroups"]) == (2000, [2000])

    def test_without_a_group(self, helm: Helm) -> None:
        """The sidecar's own is left."""
        rendered = helm.render({"socket": {"group": None}})
        assert "group" not in rendered.config["listen"]["unix"]
        assert rendered.pod["securityContext"].keys() == {"seccompProfile"}

    def test_processes_can_be_shared(self, helm: Helm) -> None:
        """Only if asked for."""
        assert "shareProcessNamespace" not in helm.render().pod
        assert helm.render({"shareProcessNamespace": True}).pod["shareProcessNamespace"] is True

    def test_a_new_configuration_begins_new_pods(self, helm: Helm) -> None:
        """Its checksum is an annotation; the same one leaves them alone."""
        one, same, other = (
            helm.render({"config": {"secrets": {"a": ref}}}).template["metadata"]["annotations"]
            for ref in ("sm:a", "sm:a", "sm:b")
        )
        assert one == same
        assert one != other

    def test_containers_can_be_kept_from_credentials(self, helm: Helm) -> None:
        """By Amazon's own annotation."""
        template = helm.render({"credentials": {"skipContainers": ["app", "log"]}}).template
        assert template["metadata"]["annotations"]["eks.amazonaws.com/skip-containers"] == "app,log"


class TestAccount:
    """How the pod comes to its role."""

    def test_irsa(self, helm: Helm) -> None:
        """The role stands on the ServiceAccount."""
        rendered = helm.render(VALUE_SETS["role by IRSA"])
        account = rendered.one("ServiceAccount")
        assert account["metadata"]["annotations"] == {
            "eks.amazonaws.com/role-arn": "arn:aws:iam::111111111111:role/app"
        }
        assert rendered.pod["serviceAccountName"] == account["metadata"]["name"] == "shop-sidecar"

    def test_pod_identity(self, helm: Helm) -> None:
        """No annotation: an association names the account."""
        assert "annotations" not in helm.render().one("ServiceAccount")["metadata"]

    def test_its_name_and_annotations(self, helm: Helm) -> None:
        """As they are set."""
        rendered = helm.render({"serviceAccount": {"name": "shop", "annotations": {"a": "b"}}})
        assert rendered.one("ServiceAccount")["metadata"]["annotations"] == {"a": "b"}
        assert rendered.pod["serviceAccountName"] == "shop"

    def test_one_that_exists(self, helm: Helm) -> None:
        """None is made; without a name it is the namespace's own."""
        rendered = helm.render(VALUE_SETS["an account that exists"])
        assert rendered.all("ServiceAccount") == []
        assert rendered.pod["serviceAccountName"] == "app"
        assert helm.render({"serviceAccount": {"create": False}}).pod["serviceAccountName"] == "default"


class TestConfiguration:
    """How values become sidecar.yaml."""

    def test_stands_as_it_is_given(self, helm: Helm) -> None:
        """References with braces too; the chart adds its own keys only."""
        config = helm.render({"config": CONFIG}).config
        assert {key: config[key] for key in CONFIG if key != "listen"} == {
            key: value for key, value in CONFIG.items() if key != "listen"
        }
        assert config["listen"]["unix"]["mode"] == "0660"

    @pytest.mark.parametrize(
        ("listen", "mend"),
        [
            ({"ops": "127.0.0.1:1"}, "give the port in ops.port"),
            ({"unix": {"path": "/x"}}, "give the folder in socket.path"),
            ({"unix": {"group": 1}}, "the gid in socket.group"),
        ],
    )
    def test_what_the_chart_sets_is_not_set_twice(self, helm: Helm, listen: Values, mend: str) -> None:
        """It says where it belongs."""
        assert mend in helm.refuse({"image": IMAGE, "config": {"listen": listen}})


class TestWorkload:
    """The example."""

    def test_a_deployment_watches(self, helm: Helm) -> None:
        """With the sidecar's own image, as its own user: the socket's owner is trusted."""
        rendered = helm.render({"workload": {"replicas": 3}})
        assert rendered.one("Deployment")["spec"]["replicas"] == 3
        assert rendered.app["args"] == ["watch"]
        assert rendered.app["image"] == rendered.sidecar["image"]
        users = {each["securityContext"]["runAsUser"] for each in (rendered.app, rendered.sidecar)}
        assert len(users) == 1

    def test_a_job_lists_and_ends(self, helm: Helm) -> None:
        """Each revision has a Job of its own, as a Job's pods cannot be changed."""
        rendered = helm.render({"workload": {"kind": "Job"}})
        assert rendered.one("Job")["metadata"]["name"] == "shop-sidecar-example-1"
        assert rendered.app["args"] == ["list"]
        assert rendered.pod["restartPolicy"] == "Never"
        assert rendered.all("Deployment") == []

    def test_an_app_of_ones_own(self, helm: Helm) -> None:
        """Its image, command, arguments, environment, labels and annotations."""
        workload = {
            "image": {"repository": "team/app", "tag": "v2"},
            "command": ["/app"],
            "args": ["--fast"],
            "env": [{"name": "A", "value": "b"}],
            "labels": {"team": "shop"},
            "annotations": {"note": "x"},
            "user": 1000,
            "group": 1001,
            "resources": {"limits": {"memory": "1Gi"}},
        }
        rendered = helm.render({"workload": workload})
        app = rendered.app
        assert (app["image"], app["command"], app["args"]) == ("team/app:v2", ["/app"], ["--fast"])
        assert app["env"][1:] == [{"name": "A", "value": "b"}]
        assert (app["securityContext"]["runAsUser"], app["securityContext"]["runAsGroup"]) == (1000, 1001)
        assert app["resources"]["limits"] == {"memory": "1Gi"}
        assert rendered.template["metadata"]["labels"]["team"] == "shop"
        assert rendered.template["metadata"]["annotations"]["note"] == "x"

    def test_selectors_find_the_pod(self, helm: Helm) -> None:
        """The Deployment's, the PodMonitor's, the NetworkPolicy's."""
        rendered = helm.render({**MONITORING, "networkPolicy": {"enabled": True}})
        labels = rendered.template["metadata"]["labels"].items()
        for selector in (
            rendered.one("Deployment")["spec"]["selector"],
            rendered.one("PodMonitor")["spec"]["selector"],
            rendered.one("NetworkPolicy")["spec"]["podSelector"],
        ):
            assert selector["matchLabels"].items() <= labels


class TestMonitoring:
    """What Prometheus and Grafana are given; their own schemas are not at hand, so their shape is looked at."""

    def test_off_unless_asked_for(self, helm: Helm) -> None:
        """Clusters without the operator install the chart too."""
        kinds = {each["kind"] for each in helm.render().manifests}
        assert kinds == {"ServiceAccount", "ConfigMap", "Deployment"}

    def test_pod_monitor(self, helm: Helm) -> None:
        """Scrapes the sidecar's port by name."""
        rendered = helm.render({"podMonitor": {"enabled": True, "interval": "15s", "labels": {"release": "p"}}})
        monitor = rendered.one("PodMonitor")
        assert monitor["apiVersion"] == "monitoring.coreos.com/v1"
        assert monitor["metadata"]["labels"]["release"] == "p"
        assert monitor["spec"].keys() == {"selector", "podMetricsEndpoints"}
        assert monitor["spec"]["podMetricsEndpoints"] == [
            {"port": rendered.sidecar["ports"][0]["name"], "path": "/metrics", "interval": "15s"}
        ]

    def test_prometheus_rule(self, helm: Helm) -> None:
        """Holds the shipped alerts, their own braces untouched."""
        rule = helm.render({"prometheusRule": {"enabled": True, "labels": {"role": "alerts"}}}).one("PrometheusRule")
        assert rule["apiVersion"] == "monitoring.coreos.com/v1"
        assert rule["metadata"]["labels"]["role"] == "alerts"
        assert rule["spec"] == yaml.safe_load((CHART / "files/alerts.yaml").read_text())

    def test_dashboard(self, helm: Helm) -> None:
        """A ConfigMap that Grafana's sidecar finds, with the shipped dashboard byte by byte."""
        dashboards = helm.render({"dashboard": {"enabled": True, "annotations": {"a": "b"}, "labels": {"c": "d"}}})
        (found,) = [each for each in dashboards.all("ConfigMap") if "sidecar.json" in each["data"]]
        assert found["metadata"]["labels"].items() >= {"grafana_dashboard": "1", "c": "d"}.items()
        assert found["metadata"]["annotations"] == {"a": "b"}
        assert found["data"]["sidecar.json"] == (CHART / "files/dashboard.json").read_text()

    def test_another_label(self, helm: Helm) -> None:
        """For a Grafana that looks for another one."""
        (_, found) = sorted(
            helm.render({"dashboard": {"enabled": True, "label": "dash"}}).all("ConfigMap"),
            key=lambda each: len(each["metadata"]["name"]),
        )
        assert found["metadata"]["labels"]["dash"] == "1"


class TestNetworkPolicy:
    """What may come and go."""

    def test_egress(self, helm: Helm) -> None:
        """DNS, AWS, and the agent of Pod Identity."""
        policy = self.policy(helm, {})
        assert [ports(rule) for rule in policy["egress"]] == [[53, 53], [443], [80]]
        assert [peer["ipBlock"]["cidr"] for peer in policy["egress"][2]["to"]] == [
            "169.254.170.23/32",
            "fd00:ec2::23/128",
        ]

    def test_irsa_needs_no_agent(self, helm: Helm) -> None:
        """STS is AWS, on 443."""
        policy = self.policy(helm, {"serviceAccount": {"roleArn": "arn:aws:iam::111111111111:role/app"}})
        assert [ports(rule) for rule in policy["egress"]] == [[53, 53], [443]]

    @pytest.mark.parametrize(
        ("store", "port"),
        [
            ("redis://redis.shop", 6379),
            ("rediss://user:pw@redis.shop:6380/0", 6380),
            ("valkey://v:7000", 7000),
            ("unix:///run/redis.sock", None),
            ("dynamodb://table", None),
        ],
    )
    def test_redis(self, helm: Helm, store: str, port: int | None) -> None:
        """The port of the fleet's store, where that is one."""
        policy = self.policy(helm, {"config": {"fleet": {"store": store, "name": "prod"}}})
        assert [ports(rule) for rule in policy["egress"]][3:] == ([[port]] if port else [])

    def test_peers_and_more(self, helm: Helm) -> None:
        """Each way can be narrowed, and the app's own added."""
        more = {"ports": [{"port": 5432}]}
        narrowed = {"aws": [PEER], "redis": [PEER], "scrapers": [PEER], "egress": [more], "ingress": [more]}
        policy = self.policy(helm, {"config": REDIS}, **narrowed)
        assert [rule.get("to") for rule in policy["egress"]] == [None, [PEER], policy["egress"][2]["to"], [PEER], None]
        assert policy["ingress"] == [{"ports": [{"protocol": "TCP", "port": 9102}], "from": [PEER]}, more]

    def test_ingress_is_the_ops_port(self, helm: Helm) -> None:
        """And nothing else."""
        policy = self.policy(helm, {"ops": {"port": 9200}})
        assert policy["ingress"] == [{"ports": [{"protocol": "TCP", "port": 9200}]}]
        assert policy["policyTypes"] == ["Ingress", "Egress"]

    @staticmethod
    def policy(helm: Helm, values: Values, **narrowed: object) -> Manifest:
        """Render it."""
        rendered = helm.render({**values, "networkPolicy": {"enabled": True, **narrowed}})
        return rendered.one("NetworkPolicy")["spec"]


def ports(rule: Manifest) -> list[Any]:
    """Give the ports of a rule."""
    return [each["port"] for each in rule["ports"]]


def test_names_are_short_enough(helm: Helm) -> None:
    """Also with the longest name that a release may have, in its thousandth revision."""
    image = [f"--set=image.{key}={value}" for key, value in IMAGE.items()]
    done = helm.run("template", "r" * 53, str(CHART), *image, "--set", "workload.kind=Job,dashboard.enabled=true")
    names = [each["metadata"]["name"] for each in yaml.safe_load_all(done.stdout)]
    assert len(names) == 4
    assert all(len(name) + len("000") <= 63 for name in names)


class TestRefusals:
    """Mistakes are told before anything is installed, with what would be right."""

    @pytest.mark.parametrize(
        ("image", "says"),
        [
            ({"tag": "v1"}, "image.repository is missing: say where your registry holds the sidecar's image"),
            ({"repository": "team/sidecar"}, "image.tag is missing: say which version of the image runs"),
        ],
    )
    def test_the_image_must_be_named(self, helm: Helm, image: Values, says: str) -> None:
        """There is no default registry."""
        assert says in helm.refuse({"image": image})

    def test_an_app_without_a_tag(self, helm: Helm) -> None:
        """Likewise."""
        assert "workload.image.tag is missing" in helm.refuse(
            {"image": IMAGE, "workload": {"image": {"repository": "team/app"}}}
        )

    @pytest.mark.parametrize(
        ("values", "says"),
        [
            ({"replicas": 2}, "additional properties 'replicas' not allowed"),
            ({"image": {**IMAGE, "tagg": "v"}}, "at '/image': additional properties 'tagg' not allowed"),
            ({"image": {"repository": "a", "tag": 1.1}}, "at '/image/tag': got number, want string"),
            ({"startup": {"path": "/metrics"}}, "at '/startup/path': value must be one of '/readyz', '/healthz'"),
            ({"startup": {"planSeconds": "12s"}}, "at '/startup/planSeconds': got string, want number"),
            ({"user": 0}, "at '/user': minimum: got 0, want 1"),
            ({"ops": {"port": 80}}, "at '/ops/port': minimum: got 80, want 1,024"),
            ({"socket": {"path": "run"}}, "at '/socket/path'"),
            ({"socket": {"sizeLimit": "lots"}}, "at '/socket/sizeLimit'"),
            ({"serviceAccount": {"roleArn": "app"}}, "at '/serviceAccount/roleArn'"),
            ({"workload": {"kind": "Pod"}}, "at '/workload/kind': value must be one of 'Deployment', 'Job'"),
            ({"podMonitor": {"enabled": "yes"}}, "at '/podMonitor/enabled': got string, want boolean"),
            ({"config": "secrets: {}"}, "at '/config': got string, want object"),
        ],
        ids=str,
    )
    def test_the_schema_refuses(self, helm: Helm, values: Values, says: str) -> None:
        """It names the value."""
        assert says in helm.refuse({"image": IMAGE, **values})

    def test_every_mapping_is_closed(self) -> None:
        """A slip is never ignored: each section of the schema lists its keys, and values.yaml has them all."""
        described = yaml.safe_load((CHART / "values.schema.json").read_text())
        defaults = yaml.safe_load((CHART / "values.yaml").read_text())
        assert described["additionalProperties"] is False
        assert described["properties"].keys() == defaults.keys() | {"global", "enabled"}
        for name, section in described["properties"].items():
            if "properties" in section:
                assert section["additionalProperties"] is False
                assert section["properties"].keys() - {"claims", "requests", "limits"} <= defaults[name].keys()
