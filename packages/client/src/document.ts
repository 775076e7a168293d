import {
  type ArgumentNode,
  type ConstArgumentNode,
  type DocumentNode,
  type FieldNode,
  getOperationAST,
  Kind,
  type OperationDefinitionNode,
  OperationTypeNode,
  parse,
  print,
  type SelectionSetNode,
  visit,
} from "graphql";
import type { Request, Variables } from "./types.ts";

/** The subscription field that has a cursor. */
const messageField = "newMessage";

/** A parsed subscription whose start position can be changed. */
export interface Subscription {
  readonly document: DocumentNode;
  readonly operation: OperationDefinitionNode;
  /** The field that takes `after`; undefined if the subscription has no position. */
  readonly field: FieldNode | undefined;
}

export function parsed(document: string | DocumentNode): DocumentNode {
  return typeof document === "string" ? parse(document) : document;
}

/** Reads a document; undefined if the operation is not a subscription. */
export function subscriptionOf(
  document: DocumentNode,
  operationName?: string | null,
): Subscription | undefined {
  const operation = getOperationAST(document, operationName);
  if (operation?.operation !== OperationTypeNode.SUBSCRIPTION) return undefined;
  const root = rootField(document, operation.selectionSet);
  const takesAfter = root?.name.value === messageField || root?.arguments?.some(isAfter) === true;
  return { document, operation, field: takesAfter ? root : undefined };
}

/**
 * The document and the variables that start after `position`: a cursor, or null for the end of the
 * log. Undefined leaves both as they were written.
 */
export function moved(
  { document, field }: Subscription,
  variables: Variables | undefined,
  position: string | null | undefined,
): { readonly document: DocumentNode; readonly variables: Variables | undefined } {
  if (!field || position === undefined) return { document, variables };
  const after = field.arguments?.find(isAfter);
  if (after?.value.kind !== Kind.VARIABLE) {
    return { document: withAfter(document, field, position), variables };
  }
  return { document, variables: { ...variables, [after.value.name.value]: position } };
}

/** A request that starts after `position`. */
export function requestFrom(
  subscription: Subscription,
  given: Variables | undefined,
  position: string | null | undefined,
): Request {
  const { document, variables } = moved(subscription, given, position);
  const operationName = subscription.operation.name?.value;
  return { query: print(document), variables, operationName };
}

/** The value of an argument of the field: a literal string or a variable; otherwise undefined. */
export function argumentOf(
  { field }: Subscription,
  variables: Variables | undefined,
  name: string,
): string | undefined {
  const value = field?.arguments?.find((argument) => argument.name.value === name)?.value;
  if (value?.kind === Kind.STRING || value?.kind === Kind.INT) return value.value;
  const found = value?.kind === Kind.VARIABLE ? variables?.[value.name.value] : undefined;
  return typeof found === "string" || typeof found === "number" ? String(found) : undefined;
}

/** A query that reads the same messages by long polling, and where a message is in its results. */
export interface PollDocument {
  readonly query: string;
  /** The name of the message in a result of the subscription. */
  readonly key: string;
  /** The variables of the subscription that the query uses. */
  readonly variables: readonly string[];
}

/** The alias of the cursor that is added to each message. */
export const pollCursor = "switchboardCursor";

/** Turns a `newMessage` subscription into a `pollMessages` query; undefined for any other field. */
export function pollDocument({
  document,
  operation,
  field,
}: Subscription): PollDocument | undefined {
  const roomId = field?.arguments?.find((argument) => argument.name.value === "roomId");
  if (field?.name.value !== messageField || !field.selectionSet || !roomId) return undefined;
  const fragments = usedFragments(document, field.selectionSet);
  const used = new Set([roomId, field.selectionSet, ...fragments].flatMap(variablesIn));
  const definitions = (operation.variableDefinitions ?? []).filter((definition) =>
    used.has(definition.variable.name.value),
  );
  const declared = ["$_after: Cursor!", "$_wait: Int!", "$_limit: Int!", ...definitions.map(print)];
  const query = `query SwitchboardPoll(${declared.join(", ")}) {
    pollMessages(${print(roomId)}, after: $_after, wait: $_wait, limit: $_limit) {
      cursor
      messages { ${pollCursor}: cursor ...on Message ${print(field.selectionSet)} }
    }
  }
  ${fragments.map(print).join("\n")}`;
  return { query, key: field.alias?.value ?? field.name.value, variables: [...used] };
}

function rootField(document: DocumentNode, set: SelectionSetNode): FieldNode | undefined {
  for (const selection of set.selections) {
    if (selection.kind === Kind.FIELD) return selection;
    const inner =
      selection.kind === Kind.INLINE_FRAGMENT
        ? selection
        : fragmentNamed(document, selection.name.value);
    const field = inner && rootField(document, inner.selectionSet);
    if (field) return field;
  }
  return undefined;
}

function fragmentNamed(document: DocumentNode, name: string) {
  return document.definitions.find(
    (definition) => definition.kind === Kind.FRAGMENT_DEFINITION && definition.name.value === name,
  ) as (DocumentNode["definitions"][number] & { kind: Kind.FRAGMENT_DEFINITION }) | undefined;
}

/** The fragments that a selection uses, directly or through other fragments. */
function usedFragments(document: DocumentNode, set: SelectionSetNode) {
  const found = new Map<string, NonNullable<ReturnType<typeof fragmentNamed>>>();
  const collect = (node: SelectionSetNode) => {
    visit(node, {
      FragmentSpread({ name: { value: name } }) {
        const fragment = found.has(name) ? undefined : fragmentNamed(document, name);
        if (!fragment) return;
        found.set(name, fragment);
        collect(fragment.selectionSet);
      },
    });
  };
  collect(set);
  return [...found.values()];
}

function variablesIn(node: Parameters<typeof print>[0]): string[] {
  const names: string[] = [];
  visit(node, {
    Variable({ name }) {
      names.push(name.value);
    },
  });
  return names;
}

function isAfter(argument: ArgumentNode): boolean {
  return argument.name.value === "after";
}

function withAfter(document: DocumentNode, field: FieldNode, cursor: string | null): DocumentNode {
  const after: ConstArgumentNode = {
    kind: Kind.ARGUMENT,
    name: { kind: Kind.NAME, value: "after" },
    value: cursor === null ? { kind: Kind.NULL } : { kind: Kind.STRING, value: cursor },
  };
  const others = field.arguments?.filter((argument) => !isAfter(argument)) ?? [];
  return visit(document, {
    Field: (node) => (node === field ? { ...node, arguments: [...others, after] } : undefined),
  });
}
