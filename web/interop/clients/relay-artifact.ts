import {
  type ArgumentNode,
  type FieldNode,
  Kind,
  type OperationDefinitionNode,
  parse,
  type SelectionSetNode,
  valueFromASTUntyped,
} from "graphql";
import type {
  ConcreteRequest,
  NormalizationArgument,
  NormalizationSelection,
  ReaderSelection,
  RequestParameters,
} from "relay-runtime";

/**
 * Does the work of Relay's compiler, for the plain documents of the tests: one operation, no
 * fragments, no aliases, no lists.
 */
export function compile(text: string): ConcreteRequest {
  const operation = operationOf(text);
  const name = nameOf(operation);
  const selections = compileAll(operation.selectionSet);
  const argumentDefinitions = (operation.variableDefinitions ?? []).map(({ variable }) => ({
    kind: "LocalArgument" as const,
    name: variable.name.value,
    defaultValue: null,
  }));
  return {
    kind: "Request",
    fragment: {
      kind: "Fragment",
      name,
      type: "Subscription",
      metadata: null,
      abstractKey: null,
      argumentDefinitions,
      selections: selections as readonly ReaderSelection[],
    },
    operation: { kind: "Operation", name, argumentDefinitions, selections },
    params: parametersOf(text),
  };
}

/** The part that is sent to the server. */
export function parametersOf(text: string): RequestParameters {
  const operation = operationOf(text);
  return {
    id: null,
    cacheID: text,
    metadata: {},
    name: nameOf(operation),
    operationKind: operation.operation,
    text,
  };
}

function operationOf(text: string): OperationDefinitionNode {
  const [operation] = parse(text).definitions;
  if (operation?.kind !== Kind.OPERATION_DEFINITION) throw new Error(`No operation in: ${text}`);
  return operation;
}

function nameOf(operation: OperationDefinitionNode): string {
  return operation.name?.value ?? "Unnamed";
}

function compileAll(selectionSet: SelectionSetNode): NormalizationSelection[] {
  return selectionSet.selections.map((selection) => {
    if (selection.kind !== Kind.FIELD) throw new Error("Only fields are compiled here.");
    return compileField(selection);
  });
}

function compileField({ name, arguments: args = [], selectionSet }: FieldNode) {
  const field = {
    alias: null,
    name: name.value,
    args: args.map(compileArgument),
    storageKey: null,
  };
  if (!selectionSet) return { kind: "ScalarField" as const, ...field };
  return {
    kind: "LinkedField" as const,
    ...field,
    concreteType: name.value,
    plural: false,
    selections: compileAll(selectionSet),
  };
}

function compileArgument({ name, value }: ArgumentNode): NormalizationArgument {
  return value.kind === Kind.VARIABLE
    ? { kind: "Variable", name: name.value, variableName: value.name.value }
    : { kind: "Literal", name: name.value, value: valueFromASTUntyped(value) };
}
