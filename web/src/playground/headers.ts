export type Headers = Readonly<Record<string, string>>;

/**
 * What was typed into the Headers pane, reduced to what can travel both as HTTP headers and as
 * the payload of `connection_init`. GraphiQL parses the text and reports its syntax errors; what
 * is left to drop here are values that are not strings.
 */
export function usableHeaders(typed: unknown): Headers {
  if (typeof typed !== "object" || typed === null || Array.isArray(typed)) return {};
  return Object.fromEntries(
    Object.entries(typed).filter(
      (entry): entry is [string, string] => typeof entry[1] === "string",
    ),
  );
}
