/** Does with a file what there is to do, and says how each ended. */
import { evict, prefault, residency } from "prefault";

interface Argument {
  readonly path: string;
  readonly strategy?: "auto" | "populate" | "touch" | "read";
}

const { path, strategy = "auto" } = JSON.parse(process.argv[2] ?? "") as Argument;
const code = (error: unknown) => (error as { code?: string }).code ?? String(error);

const evicted = await evict([{ path }]).catch(code);
const { ran, error, bytes, residentBytesAfter, untouchedBytes, ...report } = await prefault(
  [{ path }],
  { log() {}, gate: "always", strategy },
);
const known = await residency([{ path }]).catch(code);
console.log(
  JSON.stringify({
    evicted: typeof evicted === "string" ? evicted : evicted.residentBytesAfter,
    ran,
    error: error?.message ?? null,
    strategy: report.strategy,
    bytes,
    residentBytesAfter,
    untouchedBytes,
    resident: typeof known === "string" ? known : known.residentBytes,
  }),
);
