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

/**
 * The files that a document contains for a folder, by their paths in it: the code blocks after
 * `<!-- file: FOLDER/PATH -->`. Throws if there is none.
 */
export function filesOf(text: string, folder: string): [string, string][] {
  const marked = /<!-- file: (\S+) -->\s*```\w*\n([\s\S]*?\n)```/g;
  const all = [...text.matchAll(marked)].map(([, path = "", code = ""]): [string, string] => [
    path,
    code,
  ]);
  const found = all.filter(([path]) => path.startsWith(`${folder}/`));
  if (found.length === 0) throw new Error(`No file of ${folder}/ in the document.`);
  return found.map(([path, code]) => [path.slice(folder.length + 1), code]);
}
