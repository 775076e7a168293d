import { strict } from "../../web/eslint.strict.js";

export default strict(import.meta.dirname, ["dist/"]);
