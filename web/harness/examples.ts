/** The address that the examples use. A test replaces it with the address of its server. */
export const exampleHost = /(127\.0\.0\.1|localhost):4000/g;

/**
 * The numbered code blocks of a document that are marked for `runner`: `<!-- run: RUNNER -->` before
 * the fence. Throws if there is none.
 */
export function examples(text: string, runner: string): [number, string][] {
  const marked = new RegExp(`<!-- run: ${runner} -->\\s*\`\`\`\\w*\\n([\\s\\S]*?)\\n\`\`\``, "g");
  const found = [...text.matchAll(marked)].map(([, code = ""]) => code);
  if (found.length === 0) throw new Error(`No example marked "run: ${runner}".`);
  return found.map((code, index) => [index + 1, code]);
}
