"""What deploy/ says is one thing: places that must agree, which no tool of theirs compares. Called by .ci/deploy, in the root of
the repository, with the rendered overlays."""
import pathlib, re, subprocess, sys, tomllib
import yaml

wrong = []
text = lambda path: pathlib.Path(path).read_text(encoding="utf-8")
documents = lambda path: [one for one in yaml.safe_load_all(text(path)) if one]
KEPT = {"audit", "scoring"}  # whose data directories outlive a restart
shown = set(re.findall(r"create (?:secret generic|configmap) (\S+)", text("docs/operations.md")))


def pods(objects):
    for one in objects:
        if one["kind"] in ("Deployment", "StatefulSet", "Job"):
            yield one["metadata"]["name"], one, one["spec"]["template"]["spec"]


def paths(value):
    """Every absolute path in a configuration."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return [path for part in value for path in paths(part)]
    return [value] if isinstance(value, str) and value.startswith("/") else []


def overlay(folder, objects):
    say = lambda what: wrong.append(f"overlays/{folder}: {what}")
    made = {one["metadata"]["name"] for one in objects if one["kind"] == "Namespace"}
    for one in objects:
        if one["metadata"].get("namespace", *made) not in made:
            say(f"{one['kind']} {one['metadata']['name']} is in a namespace that is not made")
    config = next(one for one in objects if one["kind"] == "ConfigMap")
    settings = tomllib.loads(config["data"]["remit.toml"])
    for name, one, pod in pods(objects):
        claims = {claim["metadata"]["name"]: {"claim": True} for claim in one["spec"].get("volumeClaimTemplates", [])}
        volumes = {volume["name"]: volume for volume in pod["volumes"]} | claims
        container = pod["containers"][0]
        mounts = container["volumeMounts"]
        for mount in mounts:
            volume = volumes.get(mount["name"])
            if volume is None:
                say(f"{name} mounts {mount['name']}, which is no volume")
            # A key set's directory that anybody may write counts as safe because nothing can be written to it.
            elif ("configMap" in volume or "secret" in volume) and mount.get("readOnly") is not True:
                say(f"{name} mounts {mount['name']} so that it can be written to")
        for unused in volumes.keys() - {mount["name"] for mount in mounts}:
            say(f"{name} does not mount {unused}")
        env = {entry["name"]: entry.get("value", "") for entry in container["env"]}
        if "SSL_CERT_FILE" in env:
            say(f"{name} takes the public authorities away by SSL_CERT_FILE: peer_tls.ca is for the suite's own")
        named = [value for key, value in env.items() if value.startswith("/")]
        named += paths(settings) if container["args"][0] == "serve" else [settings["data"]["dir"]]
        if "REMIT_DATABASE__URL" in env:
            named.append("/etc/remit/database/ca.crt")
        for path in named:
            if not any(path == mount["mountPath"] or path.startswith(mount["mountPath"] + "/") for mount in mounts):
                say(f"{name} is told of {path}, which it does not mount")
        kept = [mount["mountPath"] for mount in mounts if mount["name"] in claims]
        if name in KEPT and not any(settings["data"]["dir"].startswith(path) for path in kept):
            say(f"the data directory of {name} does not outlive a restart")
        used = [volume.get("secret", {}).get("secretName") or volume.get("configMap", {}).get("name") for volume in volumes.values()]
        used += [entry["valueFrom"]["secretKeyRef"]["name"] for entry in container["env"] if "valueFrom" in entry]
        for source in filter(None, used):
            # The page makes the services' own in a loop.
            if source != config["metadata"]["name"] and not {source, source.replace(name, "$s")} & shown:
                say(f"docs/operations.md does not say how {source} is made")
        labels = one["spec"]["template"]["metadata"]["labels"]
        ports = set()
        for policy in objects:
            spec = policy["spec"] if policy["kind"] == "NetworkPolicy" else None
            if spec and spec["podSelector"]["matchLabels"].items() <= labels.items():
                ports |= {port["port"] for rule in spec.get("egress", []) for port in rule.get("ports", [])}
        for port in {5432, 443, 53} | ({587, 465} if name == "notify" else set()):
            if port not in ports:
                say(f"{name} may not reach port {port}")
    kinds = {(one["kind"], one["metadata"]["name"]) for one in objects}
    for one in objects:
        if one["kind"] == "HorizontalPodAutoscaler":
            target = one["spec"]["scaleTargetRef"]
            if (target["kind"], target["name"]) not in kinds:
                say(f"{target['kind']} {target['name']} is scaled and is not there")


for path in map(pathlib.Path, sys.argv[1:]):
    overlay(path.stem, documents(path))

# One place says where the data is and what is listened on, so that every command finds what the service uses.
image = text("deploy/Dockerfile")
units = {path.name: text(path) for path in pathlib.Path("deploy/systemd").glob("*.service")}
for name, said in {"Dockerfile": image, **units}.items():
    for setting in re.findall(r"REMIT_[A-Z]+__\w+", said):
        wrong.append(f"{name} sets {setting}: a setting belongs in the configuration file, or commands that read it differ")
one = tomllib.loads(text("deploy/systemd/remit.toml"))["data"]["dir"]
if f"StateDirectory={one.removeprefix('/var/lib/')}\n" not in units["remit.service"]:
    wrong.append(f"remit.service may not write to {one}, the data.dir of deploy/systemd/remit.toml")
inside = tomllib.loads(text("deploy/remit.toml"))
port = inside["server"]["listen"].rsplit(":")[-1]
if f'VOLUME ["{inside["data"]["dir"]}"]' not in image or f"EXPOSE {port}\n" not in image:
    wrong.append("deploy/Dockerfile and deploy/remit.toml differ in volume or port")
if "COPY deploy/remit.toml /etc/remit/remit.toml\n" not in image or "ENV REMIT_CONFIG=/etc/remit/remit.toml\n" not in image:
    wrong.append("deploy/Dockerfile does not give every command deploy/remit.toml")

# What compose mounts is in a clone.
compose = yaml.safe_load(text("deploy/compose/compose.yaml"))
listed = subprocess.run(["git", "ls-files", "deploy", "proto"], capture_output=True, text=True, check=True)
kept = listed.stdout.splitlines()
for name, service in compose["services"].items():
    for mount in service.get("volumes", []):
        source = mount.split(":")[0]
        if not source.startswith("."):
            if source not in compose["volumes"]:
                wrong.append(f"compose: {name} mounts the volume {source}, which is not declared")
            continue
        path = pathlib.Path("deploy/compose", source).resolve().relative_to(pathlib.Path.cwd()).as_posix()
        if not any(file == path or file.startswith(path + "/") for file in kept):
            wrong.append(f"compose: {name} mounts {path}, which is not in the repository")
    for other in service.get("depends_on", {}):
        if other not in compose["services"]:
            wrong.append(f"compose: {name} waits for {other}, which is no service")
version = re.search(r"^BUF=(\S+)", text(".ci/tools"), re.M)[1]
if compose["services"]["descriptors"]["image"] != f"bufbuild/buf:{version}":
    wrong.append(f"compose: the descriptors are made by another buf than {version} of .ci/tools")

# An alert that was never seen to fire may be one that cannot.
groups = yaml.safe_load(text("deploy/prometheus/alerts.yml"))["groups"]
alerts = {rule["alert"] for group in groups for rule in group["rules"]}
tried = {True: set(), False: set()}
for test in yaml.safe_load(text("deploy/prometheus/alerts_test.yml"))["tests"]:
    for asked in test["alert_rule_test"]:
        tried[bool(asked["exp_alerts"])].add(asked["alertname"])
wrong += [f"alerts_test.yml has no case in which {name} fires" for name in sorted(alerts - tried[True])]
wrong += [f"alerts_test.yml has no case in which {name} does not fire" for name in sorted(alerts - tried[False])]

if wrong:
    sys.exit("\n".join(f"deploy: {what}" for what in wrong))
