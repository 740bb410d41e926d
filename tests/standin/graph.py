"""GraphQL without a schema: a query's selection set walked over plain dicts, null for what they lack.

A value may be a function: it is called with the field's arguments. The client picks its fields and they change with
its version, so a schema would break where this answers.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
    parse,
    value_from_ast_untyped,
)


def answer(query: str, variables: Mapping[str, Any], roots: Mapping[str, Any]) -> dict[str, Any]:
    """The `data` of the answer to the only operation of `query`.

    Raises graphql.GraphQLSyntaxError where the query does not parse.
    """
    document = parse(query, no_location=True)
    operation = next(node for node in document.definitions if isinstance(node, OperationDefinitionNode))
    return _Walk(document, variables).select(operation.selection_set, roots)


class _Walk:
    def __init__(self, document: DocumentNode, variables: Mapping[str, Any]) -> None:
        fragments = (node for node in document.definitions if isinstance(node, FragmentDefinitionNode))
        self.fragments = {node.name.value: node.selection_set for node in fragments}
        self.variables = dict(variables)

    def select(self, selection: SelectionSetNode, value: Mapping[str, Any]) -> dict[str, Any]:
        return {
            (field.alias or field.name).value: self._resolve(field, value.get(field.name.value))
            for field in self._fields(selection)
        }

    def _fields(self, selection: SelectionSetNode) -> Iterator[FieldNode]:
        for node in selection.selections:
            if isinstance(node, FieldNode):
                yield node
            elif isinstance(node, FragmentSpreadNode):
                yield from self._fields(self.fragments[node.name.value])
            elif isinstance(node, InlineFragmentNode):
                yield from self._fields(node.selection_set)

    def _resolve(self, field: FieldNode, value: Any) -> Any:
        if callable(value):
            arguments = {a.name.value: value_from_ast_untyped(a.value, self.variables) for a in field.arguments or ()}
            value = value(**arguments)
        return self._shape(field.selection_set, value)

    def _shape(self, selection: SelectionSetNode | None, value: Any) -> Any:
        if selection is None or value is None:
            return value
        if isinstance(value, Sequence):
            return [self._shape(selection, item) for item in value]
        return self.select(selection, value)
