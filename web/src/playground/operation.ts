import { getOperationAST, type OperationDefinitionNode, parse } from "graphql";

/**
 * The operation to run. GraphiQL hears of a change of its editor a moment later, so the name that
 * it gives may be of the tab before: then the document's only operation is meant.
 */
export function chosenOperation(
  query: string,
  operationName?: string | null,
): OperationDefinitionNode | undefined {
  try {
    const document = parse(query);
    return getOperationAST(document, operationName) ?? getOperationAST(document) ?? undefined;
  } catch {
    // Not a document: the server's error says where and why.
    return undefined;
  }
}
