import { getOperationAST, type OperationDefinitionNode, parse } from "graphql";

/**
 * The operation to run. GraphiQL notices a change of its editor with a delay, so the name that it
 * passes may belong to the previous tab. In that case the document's only operation is used.
 */
export function chosenOperation(
  query: string,
  operationName?: string | null,
): OperationDefinitionNode | undefined {
  try {
    const document = parse(query);
    return getOperationAST(document, operationName) ?? getOperationAST(document) ?? undefined;
  } catch {
    // The text is not a document. The server's error tells where and why.
    return undefined;
  }
}
