"""What a project says and nobody would act on is told, with its line: typos, and what is the cloud's."""

import signal
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from fc_runtime.service.manifest import Manifest, ManifestError, load
from service.serve.conftest import FC3  # type: ignore[import-not-found]
from support.serving import Served, refused

Make = Callable[..., Path]
HEALTH = "{httpGetUrl: /, periodSeconds: 3}"
# As the documents of both components have them, and the API's own; for the cloud, most of them.
ALL_OF_FC3 = f"""
region: cn-hangzhou
endpoint: http://127.0.0.1
functionName: hi
description: d
runtime: python3.10
handler: index.handler
code: code
cpu: 0.5
memorySize: 512
diskSize: 512
timeout: 3
instanceConcurrency: 1
environmentVariables: {{anything: goes}}
layers: []
internetAccess: true
role: auto
tags: [{{key: a, value: b}}]
resourceGroupId: rg
gpuConfig: {{gpuMemorySize: 1024, gpuType: fc.gpu.tesla.1}}
customDNS: {{nameServers: [a], searches: [b], dnsOptions: [{{name: a, value: b}}]}}
customContainerConfig: {{image: i, port: 1, healthCheckConfig: {HEALTH}, registryConfig: {{}}}}
customRuntimeConfig: {{command: [a], args: [b], port: 9000, healthCheckConfig: {HEALTH}}}
instanceLifecycleConfig:
  initializer: {{handler: index.a, timeout: 1}}
  preStop: {{handler: index.b, timeout: 1}}
logConfig:
  {{project: p, logstore: l, enableRequestMetrics: true, enableInstanceMetrics: true,
  logBeginRule: None}}
nasConfig: {{userId: 0, groupId: 0, mountPoints: [{{enableTLS: true, mountDir: m, serverAddr: s}}]}}
ossMountConfig: {{mountPoints: [{{bucketName: b, endpoint: e, mountDir: m, readOnly: true}}]}}
tracingConfig: {{jaegerConfig: {{endpoint: e}}, params: p, type: t}}
vpcBinding: {{vpcIds: [v]}}
vpcConfig: {{vpcId: v, vSwitchIds: [s], securityGroupId: g}}
sessionAffinity: NONE
sessionAffinityConfig: {{sseEndpointPath: /}}
instanceIsolationMode: SHARE
enableLongLiving: false
annotations: {{headers: {{a: b}}}}
asyncInvokeConfig:
  qualifier: LATEST
  asyncTask: true
  maxAsyncEventAgeInSeconds: 360
  maxAsyncRetryAttempts: 3
  destinationConfig: {{onFailure: {{destination: "acs:fc:::functions/x"}}}}
provisionConfig: {{defaultTarget: 0, alwaysAllocateCPU: true, alwaysAllocateGPU: false}}
concurrencyConfig: {{reservedConcurrency: 1}}
scalingConfig: {{minInstances: 0, residentPoolId: r}}
triggers:
  - triggerName: web
    triggerType: http
    description: d
    qualifier: LATEST
    invocationRole: r
    sourceArn: s
    triggerConfig:
      {{authType: anonymous, disableURLInternet: false, methods: [GET],
      corsConfig: {{allowOrigins: ["*"], maxAge: 1}}}}
  - triggerName: tick
    triggerType: timer
    triggerConfig: {{cronExpression: "@every 1h", enable: true, payload: p}}
"""
ALL_OF_FC2 = f"""
region: cn-hangzhou
service:
  name: s
  description: d
  internetAccess: true
  role: r
  tracingConfig: auto
  nasConfig: {{userId: 1, groupId: 1, mountPoints: [{{serverAddr: s, nasDir: n, fcDir: f}}]}}
  vpcConfig: {{vpcId: v, securityGroupId: s, vswitchIds: [v]}}
  logConfig: {{project: p, logstore: l, enableInstanceMetrics: true, logBeginRule: None}}
  ossMountConfig: {{mountPoints: []}}
  vpcBinding: [v]
function:
  name: hi
  description: d
  codeUri: code
  handler: index.handler
  runtime: python3.9
  memorySize: 128
  timeout: 3
  caPort: 9000
  cpu: 0.5
  diskSize: 512
  instanceType: e1
  gpuMemorySize: 0
  instanceConcurrency: 1
  initializer: index.init
  initializationTimeout: 3
  environmentVariables: {{anything: goes}}
  layers: []
  customContainerConfig: {{image: i, command: c, args: a, instanceID: i, accelerationType: None}}
  customRuntimeConfig: {{command: [a], args: [b]}}
  customHealthCheckConfig: {HEALTH}
  customDNS: {{nameServers: [n]}}
  instanceLifecycleConfig:
    preFreeze: {{handler: index.a, timeout: 1}}
    preStop: {{handler: index.b, timeout: 1}}
  asyncConfiguration:
    maxAsyncEventAgeInSeconds: 456
    maxAsyncRetryAttempts: 3
    statefulInvocation: true
    destination: {{onSuccess: "acs:fc:::services/s.LATEST/functions/f"}}
triggers:
  - {{name: web, type: http, role: r, sourceArn: s, qualifier: LATEST,
    config: {{authType: function, methods: [GET]}}}}
customDomains:
  - {{domainName: auto, protocol: HTTP, certId: 1, certConfig: {{certName: a, privateKey: b}},
    routeConfigs: [{{path: /a, serviceName: s, functionName: hi, qualifier: 1, methods: [GET]}}]}}
"""
DOMAIN = """
region: cn-hangzhou
domainName: hi.example.com
protocol: HTTP
routeConfig: {routes: [{path: /*, functionName: hi, methods: [GET], qualifier: LATEST}]}
certConfig: {certName: a, certificate: b, privateKey: c}
tlsConfig: {minVersion: TLSv1.0, maxVersion: TLSv1.3, cipherSuites: [a]}
wafConfig: {enableWAF: false}
authConfig: {authType: anonymous, authInfo: ""}
"""
FC3_PROPS = """
functionName: hi
runtime: python3.10
handler: index.handler
code: code
"""
FIRST = 9  # the line of what is added to those


def loaded(folder: Path, component: str, props: str) -> Manifest:
    """Of one resource; its *props* begin at line 5."""
    (folder / "code").mkdir(exist_ok=True)
    (folder / "code" / "index.py").touch()
    lines = [f"      {line}\n" for line in props.strip().splitlines()]
    head = f"resources:\n  a:\n    component: {component}\n    props:\n"
    (folder / "s.yaml").write_text(head + "".join(lines))
    return load(folder / "s.yaml", account_id="1", region="local")


def warned(folder: Path, more: str) -> list[str]:
    """Of *more* in the props of an FC3 function, from line `FIRST` on; without the file's name."""
    found = loaded(folder, "fc3", FC3_PROPS.strip() + "\n" + more.strip())
    return [warning.removeprefix(f"{folder}/s.yaml:") for warning in found.warnings]


@pytest.mark.parametrize(
    ("component", "props"), [("fc3", ALL_OF_FC3), ("fc", ALL_OF_FC2)], ids=["fc3", "fc"]
)
def test_every_key_of_the_cloud_is_known(tmp_path: Path, component: str, props: str) -> None:
    """Also one without a meaning here: nobody has mistaken anything."""
    assert () == loaded(tmp_path, component, props).warnings


def test_every_key_of_a_domain_is_known(tmp_path: Path) -> None:
    """Of component fc3-domain, beside a function."""
    loaded(tmp_path, "fc3", FC3_PROPS)
    props = "".join(f"      {line}\n" for line in DOMAIN.strip().splitlines())
    with (tmp_path / "s.yaml").open("a") as file:
        file.write(f"  b:\n    component: fc3-domain\n    props:\n{props}")

    assert () == load(tmp_path / "s.yaml", account_id="1", region="local").warnings


@pytest.mark.parametrize(
    ("more", "line", "key", "meant"),
    [
        ("timeOut: 60", 0, "timeOut", "timeout"),
        ("memorysize: 1024", 0, "memorysize", "memorySize"),
        ("enviromentVariables: {A: b}", 0, "enviromentVariables", "environmentVariables"),
        (
            "asyncInvokeConfig:\n  maxAsyncRetryAttempt: 0",
            1,
            "asyncInvokeConfig.maxAsyncRetryAttempt",
            "maxAsyncRetryAttempts",
        ),
        (
            "asyncInvokeConfig:\n  destinationConfig:\n    onSucces: {destination: 'http://a/'}",
            2,
            "asyncInvokeConfig.destinationConfig.onSucces",
            "onSuccess",
        ),
        (
            "instanceLifecycleConfig:\n  prestop: {handler: index.stop}",
            1,
            "instanceLifecycleConfig.prestop",
            "preStop",
        ),
        (
            (
                "triggers:\n  - triggerName: a\n    triggerType: http\n"
                "    triggerConfig:\n      authtype: anonymous"
            ),
            4,
            "triggers[0].triggerConfig.authtype",
            "authType",
        ),
        (
            (
                "triggers:\n  - triggerName: a\n    triggerType: http\n"
                '    triggerConfig: \'{"method": ["GET"]}\''
            ),
            3,
            "triggers[0].triggerConfig.method",
            "methods",
        ),
        (
            "triggers:\n  - triggerName: a\n    triggerType: http\n    qualifer: LATEST",
            3,
            "triggers[0].qualifer",
            "qualifier",
        ),
    ],
)
def test_a_misspelt_key(tmp_path: Path, more: str, line: int, key: str, meant: str) -> None:
    """Is no error, for other tools have their own; but it is told, with what may be meant."""
    told = f"{FIRST + line}: resources.a.props.{key}: not known here: it has no effect"

    assert [f"{told}; did you mean {meant}?"] == warned(tmp_path, more)


def test_a_key_like_no_other(tmp_path: Path) -> None:
    """Then nothing is guessed; what is below it is nobody's, too. Beside props it is the same."""
    told = warned(tmp_path, "ourOwnTool: {timeOut: 1}")
    assert [f"{FIRST}: resources.a.props.ourOwnTool: not known here: it has no effect"] == told

    text = (tmp_path / "s.yaml").read_text().replace("    props:", "    action: {}\n    props:")
    (tmp_path / "s.yaml").write_text(text)
    first, _ = load(tmp_path / "s.yaml", account_id="1", region="local").warnings
    assert first.endswith("s.yaml:4: resources.a.action: not known here: it has no effect; "
                          "did you mean actions?")  # fmt: skip


@pytest.mark.parametrize("kind", ["oss", "log", "mns_topic", "cdn_events", "tablestore"])
def test_triggers_that_nothing_fires(tmp_path: Path, kind: str) -> None:
    """Are kept with whatever config they have; the API says the same when it is asked."""
    more = f"triggers:\n  - triggerName: a\n    triggerType: {kind}\n    triggerConfig: {{a: b}}"
    told = f"{kind} triggers are stored only: nothing makes this one fire"

    assert [f"{FIRST + 2}: {told}"] == warned(tmp_path, more)


@pytest.mark.parametrize(
    ("more", "line", "told"),
    [
        (
            (
                "asyncInvokeConfig:\n  destinationConfig:\n    onFailure:\n"
                "      destination: acs:mns:local:1:/queues/q/messages"
            ),
            2,
            "onFailure: acs:mns:local:1:/queues/q/messages is stored only",
        ),
        (
            "provisionConfig:\n  target: 1\n  scheduledActions: [{name: a}]",
            2,
            "scheduledActions are stored only",
        ),
    ],
)
def test_what_else_is_stored_only(tmp_path: Path, more: str, line: int, told: str) -> None:
    """Nothing of the cloud is told from here, and no policy followed."""
    (warning,) = warned(tmp_path, more)

    assert warning.startswith(f"{FIRST + line}: {told}")


def test_what_a_domain_has_not(tmp_path: Path) -> None:
    """Neither HTTPS nor other paths."""
    props = ALL_OF_FC2.replace("protocol: HTTP,", "protocol: 'HTTP,HTTPS',")
    props = props.replace("path: /a,", "path: /a, rewriteConfig: {equalRules: []},")
    first, second = loaded(tmp_path, "fc", props).warnings

    assert "hi.s.localhost is served over HTTP only" in first
    assert "rewriteConfig is stored only" in second


@pytest.mark.parametrize(
    ("trigger", "line", "told"),
    [
        (
            "triggerType: htp",
            2,
            (
                "triggerType: 'htp': one of http, timer, oss, log, mns_topic, cdn_events, tablestore, "
                "eventbridge; did you mean http?"
            ),
        ),
        (
            (
                "triggerType: timer\n    triggerConfig:\n      enable: true\n"
                "      cronExpression: '* * *'"
            ),
            5,
            "triggerConfig.cronExpression: '* * *': six fields, seconds first",
        ),
        (
            'triggerType: timer\n    triggerConfig: \'{"cronExpression": "* * *"}\'',
            3,
            "triggerConfig.cronExpression: '* * *': six fields",
        ),
        ("triggerType: timer", 1, "triggerConfig.cronExpression: is needed"),
        (
            "triggerType: http\n    triggerConfig:\n      authType: nobody",
            4,
            "triggerConfig.authType: one of anonymous, function, jwt, not 'nobody'",
        ),
        (
            "triggerType: http\n    triggerConfig: {methods: GET}",
            3,
            "triggerConfig.methods: a list of at most",
        ),
    ],
)
def test_a_trigger_that_is_none(tmp_path: Path, trigger: str, line: int, told: str) -> None:
    """Its type, or what its type wants, is an error with its line, and before anything starts."""
    with pytest.raises(ManifestError) as caught:
        warned(tmp_path, f"triggers:\n  - triggerName: a\n    {trigger}")

    place = f"{tmp_path}/s.yaml:{FIRST + line}: resources.a.props.triggers[0]."
    assert str(caught.value).startswith(place + told)


def test_a_start_and_a_reload_say_so(home: Path, project: Make) -> None:
    """As events where the log is JSON; what is written well is served."""
    folder = project(FC3.replace("timeout: 60", "timeOut: 60"))
    with Served(home, folder, "--no-auth", "--watch") as served:
        served.wait_for("manifest.warned")
        (event,) = served.events("manifest.warned")
        place = f"{folder}/s.yaml:12: resources.hi.props.timeOut"
        assert (
            f"{place}: not known here: it has no effect; did you mean timeout?" == event["warning"]
        )
        assert "warning" == event["level"]
        assert 3 == httpx.get(f"{served.url}/2023-03-30/functions/hi").json()["timeout"]

        served.send_signal(signal.SIGHUP)
        served.wait_for("manifest.applied")
        assert 2 == len(served.events("manifest.warned"))


def test_lines_for_people(home: Path, project: Make) -> None:
    """On a terminal's log each is one line; nothing is served of a trigger that is none."""
    folder = project(FC3.replace("timeout: 60", "timeOut: 60"))
    with Served(home, folder, "--no-auth", "--log-format", "pretty") as served:
        told = served.wait_for("^warning: ")
        assert f"warning: {folder}/s.yaml:12: resources.hi.props.timeOut: not known here" in told

    text = (folder / "s.yaml").read_text().replace("triggerType: http", "triggerType: htp")
    (folder / "s.yaml").write_text(text)
    code, said = refused(home, folder, "--port", "0")
    assert (2, True) == (code, "s.yaml:16: resources.hi.props.triggers[0].triggerType" in said)
