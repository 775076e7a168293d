import { strict } from "./eslint.strict.js";

const ignored = ["dist/", "e2e/out/", "interop/out/", "interop/python/", "test-results/"];

export default strict(import.meta.dirname, ignored);
