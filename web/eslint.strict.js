import js from "@eslint/js";
import { defineConfig, globalIgnores } from "eslint/config";
import tseslint from "typescript-eslint";

/**
 * The rules for the TypeScript of one folder, without the paths in `ignored`.
 *
 * @param {string} folder
 * @param {string[]} ignored
 */
export function strict(folder, ignored) {
  return defineConfig(
    globalIgnores(ignored),
    js.configs.recommended,
    tseslint.configs.strictTypeChecked,
    tseslint.configs.stylisticTypeChecked,
    {
      languageOptions: {
        parserOptions: { projectService: true, tsconfigRootDir: folder },
      },
      rules: {
        // TypeScript checks globals, in the scripts too.
        "no-undef": "off",
        // Messages and URLs may contain numbers: ports, counts, exit codes.
        "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true }],
      },
    },
  );
}
