export type Headers = Readonly<Record<string, string>>;

/**
 * The headers from the Headers pane that can be sent both as HTTP headers and as the payload of
 * `connection_init`. GraphiQL parses the text and reports syntax errors, so only values that are
 * not strings are left to drop here.
 */
export function usableHeaders(typed: unknown): Headers {
  if (typeof typed !== "object" || typed === null || Array.isArray(typed)) return {};
  return Object.fromEntries(
    Object.entries(typed).filter(
      (entry): entry is [string, string] => typeof entry[1] === "string",
    ),
  );
}
