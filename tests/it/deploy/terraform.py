"""Reads a folder of Terraform's files and tells what can't be right: `terraform.py FOLDER`.

Terraform itself and its providers can't be had here. What this looks at: that the files can be parsed;
that each variable, local, resource and data source which is named is there, and the other way round;
that resources have the arguments and blocks that the AWS provider knows, those that it wants, and the
attributes that others ask of them. What a resource is called by the provider is read from the package
cdktf-cdktf-provider-aws, which is made from the provider's own schema; tests/run puts it beside us.
"""

import ast
import re
import sys
import zipfile
from pathlib import Path

import hcl2

META = {"count", "for_each", "depends_on", "lifecycle", "provider", "connection", "provisioner"}
# Of these the package has no class.
FOREIGN = {"random_password": {"length", "special"}}
[WHEEL] = Path(sys.prefix).glob("cdktf_cdktf_provider_aws-*.whl")
mistakes = []


def plain(name):
    return name.strip('"')


def pascal(name):
    return "".join(part.capitalize() for part in name.split("_"))


class Schema:
    """What the provider says of one kind of resource."""

    def __init__(self, archive, kind, module):
        text = archive.read(f"cdktf_cdktf_provider_aws/{module}/__init__.py").decode()
        tree = ast.parse(text)
        self.classes = {one.name: one for one in tree.body if isinstance(one, ast.ClassDef)}
        self.top = pascal(module) + "Config"
        self.attributes = {
            one.name for one in self.classes[pascal(module)].body if isinstance(one, ast.FunctionDef)
        }

    def arguments(self, name):
        """Name → (wanted, whether it is a block, the class of its content)."""
        made = next(one for one in self.classes[name].body if getattr(one, "name", "") == "__init__")
        said = ast.get_docstring(made) or ""
        found = {}
        for one, default in zip(made.args.kwonlyargs, made.args.kw_defaults):
            inner = re.findall(r"['\"](%s\w+)['\"]" % self.top[:-6], ast.unparse(one.annotation))
            block = f":param {one.arg}: {one.arg} block." in said
            found[one.arg.rstrip("_")] = (default is None, block, inner[0] if inner else None)
        return found


def look(where, body, schema, name):
    known = schema.arguments(name)
    given = {key for key in body if not key.startswith("__") and key != "dynamic"} - META
    parts = [(key, one) for key in given for one in blocks(body[key])]
    for dynamic in body.get("dynamic", []):
        for key, content in dynamic.items():
            if isinstance(content, dict):
                parts += [(plain(key), one) for one in content["content"]]
    given |= {key for key, _ in parts}
    for key in sorted(given - set(known)):
        mistakes.append(f"{where}: the provider knows no {key}")
    for key, (wanted, _, _) in known.items():
        if wanted and key not in given:
            mistakes.append(f"{where}: {key} is wanted")
    for key in sorted(given & set(known)):
        is_block = any(key == part for part, _ in parts)
        _, block, content = known[key]
        if block and not is_block:
            mistakes.append(f"{where}: {key} is a block")
        # Some old arguments are written either way: they have content of their own.
        if is_block and not block and not content:
            mistakes.append(f"{where}: {key} is no block")
    for key, one in parts:
        if known.get(key, (0, 0, None))[2]:
            look(f"{where}.{key}", one, schema, known[key][2])


def blocks(value):
    if not isinstance(value, list):
        return []
    return [one for one in value if isinstance(one, dict) and one.get("__is_block__")]


def texts(value):
    if isinstance(value, dict):
        for key, one in value.items():
            if key != "__comments__":
                yield from texts(key)
                yield from texts(one)
    elif isinstance(value, list):
        for one in value:
            yield from texts(one)
    elif isinstance(value, str):
        yield value


def expressions(text):
    """A text without what is only quoted in it; "${" within quotes begins an expression anew."""
    kept, inside, at = [], [], 0
    while at < len(text):
        quoted = inside and inside[-1] == '"'
        if quoted and text[at] == "\\":
            at += 2
            continue
        if text.startswith("${", at):
            inside.append("${")
            kept.append(" ")
            at += 2
            continue
        if text[at] == '"':
            if quoted:
                inside.pop()
            else:
                inside.append('"')
        elif text[at] in "{}" and not quoted:
            if text[at] == "{":
                inside.append("{")
            elif inside:
                inside.pop()
            kept.append(text[at])
        elif not quoted:
            kept.append(text[at])
        at += 1
    return "".join(kept)


def main(folder):
    declared, schemas, named = {}, {}, []
    used_attributes = []
    archive = zipfile.ZipFile(WHEEL)
    for path in sorted(Path(folder).glob("*.tf")):
        for kind, items in hcl2.loads(path.read_text()).items():
            if kind.startswith("__"):
                continue
            for item in items:
                for first, content in item.items():
                    if first.startswith("__"):
                        continue
                    first = plain(first)
                    if kind == "locals":
                        declared[f"local.{first}"] = path.name
                    elif kind == "variable":
                        declared[f"var.{first}"] = path.name
                        if "description" not in content or "type" not in content:
                            mistakes.append(f"var.{first}: description and type are wanted")
                    elif kind in ("resource", "data", "ephemeral"):
                        prefix = "" if kind == "resource" else f"{kind}."
                        for second, body in content.items():
                            if second.startswith("__"):
                                continue
                            name = f"{prefix}{first}.{plain(second)}"
                            if name in declared:
                                mistakes.append(f"{name}: twice")
                            declared[name] = path.name
                            check(archive, kind, first, name, body, schemas)
                    for text in texts(content):
                        bare = expressions(text)
                        found = re.findall(r"(?<![\w.])((?:var|local)\.\w+)", bare)
                        # That a variable is validated is no use of it.
                        own = f"var.{first}" if kind == "variable" else None
                        named += [name for name in found if name != own]
                        pattern = r"(?<![\w.])((?:data\.|ephemeral\.)?(?:aws|random)_\w+\.\w+)((?:\[[^\]]*\])?\.(\w+))?"
                        for name, _, attribute in re.findall(pattern, bare):
                            named.append(name)
                            used_attributes.append((name, attribute))
    for name in sorted(set(named) - set(declared)):
        mistakes.append(f"{name} is named and not there")
    for name in sorted(set(declared) - set(named)):
        if name.startswith(("var.", "local.")):
            mistakes.append(f"{name} is there and not used ({declared[name]})")
    for name, attribute in sorted(set(used_attributes)):
        schema = schemas.get(name)
        if attribute and schema and attribute not in schema.attributes:
            mistakes.append(f"{name} has no {attribute}")
    return declared


def check(archive, kind, type_name, name, body, schemas):
    if type_name in FOREIGN:
        unknown = {key for key in body if not key.startswith("__")} - FOREIGN[type_name]
        mistakes.extend(f"{name}: the provider knows no {key}" for key in unknown)
        return
    module = type_name.removeprefix("aws_")
    if kind != "resource":
        module = f"data_aws_{module}"
    try:
        schema = Schema(archive, type_name, module)
    except KeyError:
        mistakes.append(f"{name}: the provider knows no {type_name}")
        return
    schemas[name] = schema
    look(name, body, schema, schema.top)


declared = main(sys.argv[1])
for mistake in mistakes:
    print(mistake)
print(f"{len(declared)} declared, {len(mistakes)} mistakes")
sys.exit(bool(mistakes))
