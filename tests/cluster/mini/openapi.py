"""As much of the OpenAPI documents as makes clients leave the checking of fields to the server.

Which here checks none: the chart's other tests hold everything it renders to Kubernetes' own schemas.
"""

import re

from .resources import RESOURCES


def document(path):
    """The index, the document of one group and version, or None for another path."""
    if path == "/openapi/v3":
        versions = {place(kind): {"serverRelativeURL": f"/openapi/v3/{place(kind)}"} for kind in RESOURCES}
        return {"paths": versions}
    match = re.fullmatch(r"/openapi/v3/(apis?/.+)", path)
    kinds = [kind for kind in RESOURCES if match and place(kind) == match[1]]
    if not kinds:
        return None
    paths = {f"/{place(kind)}/namespaces/{{namespace}}/{kind.plural}/{{name}}": {"patch": patch(kind)} for kind in kinds}
    return {"openapi": "3.0.0", "info": {"title": "mini", "version": "1"}, "paths": paths}


def place(kind):
    return f"apis/{kind.api_version}" if kind.group else f"api/{kind.api_version}"


def patch(kind):
    return {
        "parameters": [{"name": "fieldValidation", "in": "query", "schema": {"type": "string"}}],
        "responses": {},
        "x-kubernetes-group-version-kind": {"group": kind.group, "version": kind.version, "kind": kind.kind},
    }
