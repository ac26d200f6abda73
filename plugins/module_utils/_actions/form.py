# Copyright (c) 2026, the homelab.proxmox contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The form of a file with actions, as JSON Schema: the shipped registry.yml and a person's own actions.d/*.yml."""

from __future__ import annotations

_NAME = "^[a-z][a-z0-9_]{0,39}$"

# What a survey can ask for; anything deeper belongs into the configuration.
_SCALAR = {
    "type": "object",
    "additionalProperties": False,
    "required": ["type"],
    "properties": {
        "type": {"enum": ["string", "integer", "number", "boolean"]},
        "enum": {"type": "array", "minItems": 1, "items": {"type": ["string", "integer", "number"]}},
        "default": {"type": ["string", "integer", "number", "boolean"]},
        "pattern": {"type": "string", "format": "regex"},
        "minLength": {"type": "integer", "minimum": 0},
        "maxLength": {"type": "integer", "minimum": 1},
        "minimum": {"type": "number"},
        "maximum": {"type": "number"},
    },
}

_PARAMETER = {
    "type": "object",
    "additionalProperties": False,
    "required": ["name", "title"],
    "properties": {
        "name": {"type": "string", "pattern": _NAME},
        "variable": {"type": "string", "pattern": "^[a-z_][a-z0-9_]*$"},
        "title": {"type": "string", "minLength": 1, "maxLength": 60},
        "help": {"type": "string"},
        "required": {"type": "boolean"},
        "secret": {"type": "boolean"},
        "config": {"type": "string", "pattern": "^[a-z][a-z0-9_]*(\\.[a-z][a-z0-9_]*)+$"},
        "schema": {
            "oneOf": [
                _SCALAR,
                {
                    "type": "object",
                    "additionalProperties": False,
                    "required": ["type", "items"],
                    "properties": {
                        "type": {"const": "array"},
                        "items": _SCALAR,
                        "minItems": {"type": "integer", "minimum": 0},
                        "maxItems": {"type": "integer", "minimum": 1},
                    },
                },
            ]
        },
    },
    "oneOf": [{"required": ["config"]}, {"required": ["schema"]}],
}

_ACTION = {
    "type": "object",
    "additionalProperties": False,
    "required": ["id", "title", "help", "group", "playbook", "danger"],
    "properties": {
        "id": {"type": "string", "pattern": "^[a-z][a-z0-9-]{0,39}$"},
        "title": {"type": "string", "minLength": 1, "maxLength": 50},
        "help": {"type": "string", "minLength": 1},
        "group": {"type": "string", "pattern": _NAME},
        "playbook": {"type": "string", "minLength": 1},
        "target": {"type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_]*$"},
        "danger": {"enum": ["none", "changes", "destructive"]},
        "minutes": {"type": "number", "exclusiveMinimum": 0},
        "parameters": {"type": "array", "items": _PARAMETER},
        "fixed": {"type": "object", "additionalProperties": {"type": "string"}},
        "check": {"type": "boolean"},
        "root": {"type": "boolean"},
    },
}

FORM = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "additionalProperties": False,
    "required": ["version", "actions"],
    "properties": {
        "version": {"const": 1},
        "groups": {
            "type": "array",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["id", "title"],
                "properties": {
                    "id": {"type": "string", "pattern": _NAME},
                    "title": {"type": "string", "minLength": 1, "maxLength": 50},
                    "help": {"type": "string"},
                },
            },
        },
        "actions": {"type": "array", "items": _ACTION},
    },
}
