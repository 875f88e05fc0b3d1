"""
Just enough of JSON Schema to hold our own answers against docs/formats/*.schema.json without a
package: the words that those schemas use. Unknown members are wrong everywhere.
"""
import re

TYPES = {"object": dict, "array": list, "string": str, "integer": int, "number": (int, float),
         "boolean": bool}


def is_type(value, kind):
    return isinstance(value, TYPES[kind]) and (kind == "boolean") == isinstance(value, bool)


def members(value, schema, root, at):
    for key in schema.get("required", ()):
        if key not in value:
            return f"{at}: no {key}"
    known = schema.get("properties", {})
    for key, item in value.items():
        if key not in known:
            return f"{at}: {key} is unknown"
        found = problem(item, known[key], root, f"{at}.{key}")
        if found:
            return found
    return None


def problem(value, schema, root, at="$"):
    """First way in which value breaks the schema, or None."""
    if "$ref" in schema:
        target = root
        for part in schema["$ref"].lstrip("#/").split("/"):
            target = target[part]
        return problem(value, target, root, at)
    if "anyOf" in schema:
        found = [problem(value, s, root, at) for s in schema["anyOf"]]
        return None if None in found else f"{at}: fits none: {'; '.join(found)}"
    if "type" in schema and not is_type(value, schema["type"]):
        return f"{at}: not of type {schema['type']}"
    if "enum" in schema and value not in schema["enum"]:
        return f"{at}: {value!r} is not one of {schema['enum']}"
    if "minimum" in schema and value < schema["minimum"]:
        return f"{at}: {value} < {schema['minimum']}"
    if "pattern" in schema and not re.search(schema["pattern"], value):
        return f"{at}: {value!r} does not match {schema['pattern']}"
    if isinstance(value, dict):
        return members(value, schema, root, at)
    for i, item in enumerate(value if isinstance(value, list) else ()):
        found = problem(item, schema["items"], root, f"{at}[{i}]") if "items" in schema else None
        if found:
            return found
    return None
