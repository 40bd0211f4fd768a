"""A project's ``s.yaml`` (spec 10): read as the tools read it, whole, or refused with the place."""

import textwrap
from pathlib import Path

import pytest
from fc_runtime.service.manifest import Manifest, ManifestError, find, load

ACCOUNT = "123456789012"
FC2 = """
    edition: 1.0.0
    name: demo
    vars:
      service: {name: demo, internetAccess: true, logConfig: auto, role: auto}
    services:
      hi:
        component: devsapp/fc@0.1
        props:
          region: cn-hangzhou
          service: ${vars.service}
          function:
            name: hi
            runtime: python3.9
            codeUri: ./code
            handler: index.handler
            memorySize: 256
            timeout: 30
            cpu: 0.5
            diskSize: 512
            instanceType: e1
            caPort: 9000
            initializer: index.init
            initializationTimeout: 5
            instanceConcurrency: 2
            environmentVariables: {A: "1"}
            instanceLifecycleConfig: {preStop: {handler: index.stop, timeout: 5}}
            asyncConfiguration:
              maxAsyncRetryAttempts: 1
              statefulInvocation: true
              destination: {onSuccess: "acs:fc:local:1:functions/x"}
          triggers: [{name: web, type: http, config: {authType: anonymous, methods: [GET, POST]}}]
          customDomains: [{domainName: auto, protocol: HTTP, routeConfigs: [{path: "/*"}]}]
"""
FC3 = """
    edition: 3.0.0
    name: demo
    resources:
      hi:
        component: fc3
        props:
          region: cn-hangzhou
          functionName: hi
          runtime: python3.10
          code: ./code
          handler: index.handler
          memorySize: 1024
          timeout: 30
          cpu: 1
          diskSize: 10240
          instanceConcurrency: 20
          environmentVariables: {A: "1"}
          logConfig: auto
          nasConfig: auto
          tags: [{key: a, value: b}]
          instanceLifecycleConfig: {initializer: {handler: index.init, timeout: 5}}
          asyncInvokeConfig: {asyncTask: true, maxAsyncRetryAttempts: 1, qualifier: LATEST}
          concurrencyConfig: {reservedConcurrency: 3}
          provisionConfig: {defaultTarget: 1}
          scalingConfig: {minInstances: 1}
          triggers:
            - triggerName: web
              triggerType: http
              triggerConfig: {authType: anonymous, methods: [GET, POST]}
            - triggerName: tick
              triggerType: timer
              qualifier: LATEST
              triggerConfig: '{"cronExpression": "@every 1m", "enable": true}'
      domain:
        component: fc3-domain
        props:
          region: cn-hangzhou
          domainName: hi.example.com
          protocol: HTTP
          routeConfig: {routes: [{path: "/*", functionName: "${resources.hi.props.functionName}"}]}
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with ``code/index.py`` in it."""
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "index.py").write_text("def handler(event, context): return event\n")
    return tmp_path


def loaded(project: Path, text: str) -> Manifest:
    file = project / "s.yaml"
    file.write_text(textwrap.dedent(text))
    return load(file, account_id=ACCOUNT, region="local")


def one(project: Path, more: str = "", *, runtime: str = "python3.10") -> Manifest:
    """An FC3 function with *more* in its props, one key a line; they begin at line 8."""
    more = textwrap.dedent(more).strip()
    props = textwrap.indent(more, " " * 6)
    file = project / "s.yaml"
    file.write_text(
        "resources:\n"
        "  hi:\n"
        "    component: fc3\n"
        "    props:\n"
        "      functionName: hi\n"
        f"      runtime: {runtime}\n"
        f"{'' if more.startswith('handler:') else '      handler: index.handler'}\n"
        f"{props}\n" + ("" if more.startswith("code:") else "      code: code\n")
    )
    return load(file, account_id=ACCOUNT, region="local")


def test_fc2(project: Path) -> None:
    """Component fc: a service, a function by FC3's names, trigger, domain, async configuration."""
    found = loaded(project, FC2)

    (service,), (function,), (trigger,) = found.services, found.functions, found.triggers
    assert ("demo", {"internetAccess": True}) == (service.name, service.document)
    assert ("demo", "hi") == (function.service, function.name)
    assert {
        "runtime": "python3.9",
        "handler": "index.handler",
        "memorySize": 256,
        "timeout": 30,
        "cpu": 0.5,
        "diskSize": 512,
        "instanceType": "e1",
        "caPort": 9000,
        "instanceConcurrency": 2,
        "environmentVariables": {"A": "1"},
        "instanceLifecycleConfig": {
            "initializer": {"handler": "index.init", "timeout": 5},
            "preStop": {"handler": "index.stop", "timeout": 5},
        },
        "code": {"folder": str(project / "code")},
    } == function.document
    assert ("demo", "hi", "web") == (trigger.service, trigger.function, trigger.name)
    assert {
        "triggerName": "web",
        "triggerType": "http",
        "triggerConfig": {"authType": "anonymous", "methods": ["GET", "POST"]},
    } == trigger.document
    (config,), (domain,) = found.configs, found.domains
    assert ("async", "demo", "hi", "LATEST") == (
        config.kind,
        config.service,
        config.function,
        config.qualifier,
    )
    assert {
        "maxAsyncRetryAttempts": 1,
        "asyncTask": True,
        "destinationConfig": {"onSuccess": {"destination": "acs:fc:local:1:functions/x"}},
    } == config.document
    assert domain.name == "hi.demo.localhost"
    route = {"path": "/*", "serviceName": "demo", "functionName": "hi"}
    assert [route] == domain.document["routeConfig"]["routes"]
    assert found.warnings == ()


def test_fc3(project: Path) -> None:
    """Component fc3 and fc3-domain, in one file; what ``auto`` would make is left out."""
    found = loaded(project, FC3)

    (function,) = found.functions
    assert {
        "runtime": "python3.10",
        "handler": "index.handler",
        "memorySize": 1024,
        "timeout": 30,
        "cpu": 1.0,
        "diskSize": 10240,
        "instanceConcurrency": 20,
        "environmentVariables": {"A": "1"},
        "instanceLifecycleConfig": {"initializer": {"handler": "index.init", "timeout": 5}},
        "tags": [{"key": "a", "value": "b"}],
        "code": {"folder": str(project / "code")},
    } == function.document
    assert ["web", "tick"] == [trigger.name for trigger in found.triggers]
    assert found.triggers[1].document["triggerConfig"]["cronExpression"] == "@every 1m"
    assert {"async", "concurrency", "provision", "scaling"} == {c.kind for c in found.configs}
    (domain,) = found.domains
    assert domain.name == "hi.example.com"
    assert domain.document["routeConfig"]["routes"][0]["functionName"] == "hi"
    assert found.warnings == ()


def test_defaults(project: Path) -> None:
    """Of FC: 512 MB for FC3 and 128 for FC2, three seconds (spec 10, 12)."""
    three = one(project).functions[0].document
    two = loaded(
        project,
        """
        services:
          hi:
            component: fc
            props:
              service: {name: s}
              function: {name: f, runtime: python3, codeUri: code, handler: index.handler}
        """,
    ).functions[0]

    assert (512, 3) == (three["memorySize"], three["timeout"])
    assert (128, 3) == (two.document["memorySize"], two.document["timeout"])


def test_found_in_a_folder(project: Path) -> None:
    """``s.yaml`` before ``s.yml``; none is none."""
    assert find(project) is None
    (project / "s.yml").touch()
    assert find(project) == project / "s.yml"
    (project / "s.yaml").touch()
    assert find(project) == project / "s.yaml"


def test_yaml_is_1_2(project: Path) -> None:
    """``on``, ``010`` and ``12:30`` are what they look like; numbers and booleans become text."""
    found = one(
        project,
        "environmentVariables: {A: on, B: 010, C: 12:30, D: 1, E: true, F: 1.5, G: , H: 2024-01-01}",
    )

    assert {
        "A": "on",
        "B": "010",
        "C": "12:30",
        "D": "1",
        "E": "true",
        "F": "1.5",
        "G": "",
        "H": "2024-01-01",
    } == found.functions[0].document["environmentVariables"]


def test_merge_keys_and_aliases(project: Path) -> None:
    """``<<`` gives what is not written out; what is wins."""
    found = loaded(
        project,
        """
        base: &base {runtime: python3.10, code: code, handler: index.handler, timeout: 7}
        resources:
          a: {component: fc3, props: {<<: *base, functionName: a}}
          b: {component: fc3, props: {<<: *base, functionName: b, timeout: 8}}
        """,
    )

    assert [("a", 7), ("b", 8)] == [(f.name, f.document["timeout"]) for f in found.functions]


def test_template_and_extend(project: Path) -> None:
    """``extend`` takes over a template's properties, mapping by mapping."""
    found = loaded(
        project,
        """
        template:
          base: {runtime: python3.10, code: code, handler: index.handler,
                 environmentVariables: {A: a, B: b}}
        resources:
          hi: {component: fc3, extend: {name: base},
               props: {functionName: hi, environmentVariables: {B: own}}}
        """,
    )

    assert {"A": "a", "B": "own"} == found.functions[0].document["environmentVariables"]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("${env('SET_HERE')}", "from the environment"),
        ("${env(SET_HERE)}", "from the environment"),
        ("${Env(SET_HERE)}", "from the environment"),
        ("${env.SET_HERE}", "from the environment"),
        ("${env('NOT_SET', 'default')}", "default"),
        ("${vars.deep.er}", "variable"),
        ("${vars.nothing, 'default'}", "default"),
        ("<${vars.deep.er}-${vars.number}>", "<variable-7>"),
        ("${this.props.functionName}/${this.name}", "hi/hi"),
        ("${resources.hi.props.runtime}", "python3.10"),
        ("${hi.props.runtime}", "python3.10"),
        ("${vars.again}", "variable!"),
        ("${config('AccountID')}", ACCOUNT),
        ("${file('./text')}", "of ${vars.deep.er} a file"),
        ("${env('DOLLAR')}", "${vars.deep.er}"),
    ],
)
def test_variables(
    project: Path, monkeypatch: pytest.MonkeyPatch, expression: str, expected: str
) -> None:
    """What can be known here is put in; what comes from outside is not looked at again."""
    monkeypatch.setenv("SET_HERE", "from the environment")
    monkeypatch.setenv("DOLLAR", "${vars.deep.er}")
    monkeypatch.delenv("NOT_SET", raising=False)
    (project / "text").write_text("of ${vars.deep.er} a file")
    found = loaded(
        project,
        f"""
        vars: {{deep: {{er: variable}}, number: 7, again: "${{vars.deep.er}}!"}}
        resources:
          hi:
            component: fc3
            props: {{functionName: hi, runtime: python3.10, code: code, handler: index.handler,
                    timeout: "${{vars.number}}", environmentVariables: {{X: "{expression}"}}}}
        """,
    )

    assert expected == found.functions[0].document["environmentVariables"]["X"]
    assert found.functions[0].document["timeout"] == 7
    assert found.warnings == ()


@pytest.mark.parametrize(
    ("expression", "why"),
    [
        ("${env('NOT_SET')}", "NOT_SET is not set in the environment"),
        ("${resources.hi.output.url}", "only a deployment has it"),
        ("${vars.nothing}", "there is no vars.nothing"),
        ("${config('AccessKeySecret')}", "not known here"),
        ("${file('nowhere')}", "there is no file nowhere"),
        ("${file('code')}", "there is no file code that can be read"),
        ("${file('no-text')}", "there is no file no-text that can be read as UTF-8"),
        (f"${{file('{'x' * 300}')}}", "there is no file xxx"),
    ],
)
def test_variables_left(
    project: Path, monkeypatch: pytest.MonkeyPatch, expression: str, why: str
) -> None:
    """What cannot be known here is left as it stands, with a warning that names the place."""
    monkeypatch.delenv("NOT_SET", raising=False)
    (project / "no-text").write_bytes(b"\xff\xfe")
    found = one(project, f'environmentVariables: {{X: "{expression}"}}')

    assert expression == found.functions[0].document["environmentVariables"]["X"]
    (warning,) = found.warnings
    assert f"s.yaml:8: resources.hi.props.environmentVariables.X: {expression} is left" in warning
    assert why in warning


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("layers: [acs:fc:cn-hangzhou:official:layers/x/versions/1]", "layer of another account"),
        ("code: {ossBucketName: b, ossObjectName: o}", "its code is in OSS"),
        ("handler: other.handler", "there is no other.py"),
    ],
)
def test_warnings(project: Path, text: str, told: str) -> None:
    """What can be left out, or mended later, is told with its line; the rest is served."""
    other = "  ok: {component: fc3, props: {functionName: ok, runtime: python3.10, code: code, handler: index.handler}}"
    file = project / "s.yaml"
    lines = "" if "handler:" in text else "\n      handler: index.handler"
    lines += "" if "code:" in text else "\n      code: code"
    file.write_text(
        f"resources:\n{other}\n  hi:\n    component: fc3\n    props:\n      functionName: hi\n"
        f"      runtime: python3.10\n      {text}{lines}\n"
    )
    found = load(file, account_id=ACCOUNT, region="local")

    (warning,) = found.warnings
    assert warning.startswith(f"{file}:8: ")
    assert told in warning
    assert found.functions[0].name == "ok"


def test_what_is_not_ours(project: Path) -> None:
    """A component or a runtime of others is left out by name; what remains is served."""
    text = textwrap.dedent(FC3) + (
        "  site: {component: website, props: {}}\n"
        "  node: {component: fc3, props: {functionName: n, runtime: nodejs20, code: code, "
        "handler: index.handler}}\n"
    )
    found = loaded(project, text)

    assert ["hi"] == [function.name for function in found.functions]
    assert any("site is left out: component website" in warning for warning in found.warnings)
    assert any("runtime nodejs20 is none of Python's" in warning for warning in found.warnings)


def test_own_layers_stay(project: Path) -> None:
    """A layer of this account can be there."""
    arn = f"acs:fc:local:{ACCOUNT}:layers/x/versions/1"

    assert [arn] == one(project, f"layers: [{arn}]").functions[0].document["layers"]


@pytest.mark.parametrize(
    ("text", "line", "told"),
    [
        ("timeout: soon", 8, "resources.hi.props.timeout: 'soon': a whole number of seconds from"),
        ("timeout: 0", 8, "from 1 to 86400"),
        ("memorySize: 1", 8, "a whole number of MB from 32 to 32768"),
        ("instanceConcurrency: 201", 8, "from 1 to 200"),
        ("cpu: many", 8, "a number of vCPUs"),
        ("handler: index", 8, "'index': module.function, such as index.handler"),
        ("code: ./nowhere", 8, "give the folder or .zip file"),
        ("code: s.yaml", 8, "is no zip file"),
        ("environmentVariables: [A]", 8, "a mapping of names to texts"),
        ("environmentVariables: {FC_X: 1}", 8, "reserved by Function Compute"),
        ("environmentVariables: {9X: 1}", 8, "letters, digits and _"),
        ("environmentVariables:\n  A: {b: c}", 9, "environmentVariables.A: a text, not a dict"),
        ("layers: none", 8, "a list of layer ARNs"),
        ("instanceLifecycleConfig: {initializer: {timeout: 3}}", 8, "handler: missing"),
        ("instanceLifecycleConfig: {preStop: {handler: index.s, timeout: 91}}", 8, "1 to 90"),
        ("triggers: {}", 8, "a list"),
        ("triggers:\n  - triggerType: http", 9, "triggers[0].triggerName: missing"),
        ("triggers:\n  - {triggerName: a, triggerType: http, triggerConfig: '{'}", 9, "no JSON"),
    ],
)
def test_mistakes(project: Path, text: str, line: int, told: str) -> None:
    """Told before anything starts: file, line, key, what is there, and what would do."""
    with pytest.raises(ManifestError) as caught:
        one(project, text)

    assert str(caught.value).startswith(f"{project / 's.yaml'}:{line}: resources.hi.props")
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "not a mapping"),
        ("- a", "not a mapping"),
        ("a: [", "no YAML"),
        ("a: 1\nb: 2\na: 3", "s.yaml:3: no YAML: 'a' is here for the second time"),
        ("a: !!python/object/apply:os.system [true]", "no YAML"),
        ("edition: 3.0.0", "neither services nor resources"),
        ("resources: [a]", "s.yaml:1: resources: "),
        ("resources: {a: b}", "a mapping with component and props"),
        ("resources: {a: {props: {}}}", "component: missing"),
        ("resources: {a: {component: website}}", "no function in it can be served"),
        ("resources: {a: {component: fc3, props: {}}}", "functionName: missing"),
        (
            "resources: {a: {component: fc3, props: {functionName: 1a}}}",
            "not starting with a digit",
        ),
        ("resources: {a: {component: fc3, props: {functionName: a}}}", "runtime: missing"),
        ("resources: {a: {component: fc, props: {}}}", "service: missing"),
        ("resources: {a: {component: fc3, extend: {name: x}}}", "one of template's"),
        (
            "{vars: {a: '${vars.a}'}, resources: {a: {component: fc3, props: {x: '${vars.a}'}}}}",
            "refers to itself",
        ),
    ],
)
def test_no_manifest(project: Path, text: str, told: str) -> None:
    """What is no manifest at all is refused, whatever it is."""
    with pytest.raises(ManifestError, match=r"s\.yaml") as caught:
        loaded(project, text)

    assert told in str(caught.value)


def test_no_end(project: Path) -> None:
    """A few lines of aliases that stand for millions are refused, and quickly."""
    bomb = "\n".join(
        [
            "a0: &a0 [x, x, x, x, x, x, x, x, x, x]",
            *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)),
            "resources: {a: {component: fc3, props: {functionName: a, tags: *a8}}}",
        ]
    )

    with pytest.raises(ManifestError, match="too large or too deep"):
        loaded(project, bomb)


def test_twice(project: Path) -> None:
    """Two functions of one name are a mistake; one service described by two resources is not."""
    body = "runtime: python3.10, code: code, handler: index.handler"
    with pytest.raises(ManifestError, match="function a is here for the second time"):
        loaded(
            project,
            f"""
            resources:
              x: {{component: fc3, props: {{functionName: a, {body}}}}}
              y: {{component: fc3, props: {{functionName: a, {body}}}}}
            """,
        )
    body = "runtime: python3.10, codeUri: code, handler: index.handler"
    found = loaded(
        project,
        f"""
        services:
          x: {{component: fc, props: {{service: {{name: s, description: d}}, function: {{name: a, {body}}}}}}}
          y: {{component: fc, props: {{service: {{name: s}}, function: {{name: b, {body}}}}}}}
        """,
    )

    assert [("s", {"description": "d"})] == [(s.name, dict(s.document)) for s in found.services]
    assert ["a", "b"] == [function.name for function in found.functions]


def test_values_of_variables_are_not_shown(project: Path) -> None:
    """A variable's value may be a secret: no message repeats it."""
    with pytest.raises(ManifestError) as caught:
        one(project, "environmentVariables: {A: [the-secret]}")

    assert "the-secret" not in str(caught.value)
