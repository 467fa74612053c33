/** A sample as Prometheus reads it. */
export interface ParsedSample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

const HELP = /^# HELP ([a-zA-Z_:][\w:]*) ((?:[^\\]|\\[\\n])*)$/;
const TYPE = /^# TYPE ([a-zA-Z_:][\w:]*) (counter|gauge)$/;
const SAMPLE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (-?\d+(?:\.\d+)?(?:e[+-]?\d+)?)$/s;
const LABEL = /([a-zA-Z_]\w*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)/gsy;

/**
 * Reads the text format 0.0.4, strictly: by its rules of grammar, of order and of uniqueness.
 *
 * @throws an error with the line that breaks one
 */
export function parseMetrics(text: string): ParsedSample[] {
  if (!text.endsWith("\n")) throw new Error("the last line does not end");
  const samples: ParsedSample[] = [];
  const seen = new Set<string>();
  let family = { name: "", hasHelp: false, type: "" };
  for (const line of text.slice(0, -1).split("\n")) {
    const [, helped] = HELP.exec(line) ?? [];
    const [, typed, type = ""] = TYPE.exec(line) ?? [];
    if (helped !== undefined) {
      once(seen, `HELP ${helped}`);
      family = { name: helped, hasHelp: true, type: "" };
    } else if (typed !== undefined) {
      once(seen, `TYPE ${typed}`);
      if (family.name !== typed) throw new Error(`a type without help before it: ${line}`);
      family = { ...family, type };
    } else {
      const sample = parseSample(line);
      if (sample.name !== family.name) throw new Error(`outside its family: ${line}`);
      const isTotal = sample.name.endsWith("_total");
      if (isTotal !== (family.type === "counter"))
        throw new Error(`named unlike its type: ${line}`);
      once(seen, `${sample.name} ${JSON.stringify(Object.entries(sample.labels).sort())}`);
      samples.push(sample);
    }
  }
  return samples;
}

function parseSample(line: string): ParsedSample {
  const [, name, text = "", value = ""] = SAMPLE.exec(line) ?? [];
  if (name === undefined) throw new Error(`no sample: ${line}`);
  const labels: Record<string, string> = {};
  let end = 0;
  LABEL.lastIndex = 0;
  for (const [all, label = "", escaped = ""] of text.matchAll(LABEL)) {
    if (label in labels) throw new Error(`a label twice: ${line}`);
    labels[label] = escaped.replace(/\\(.)/gs, (_, each) => (each === "n" ? "\n" : each));
    end += all.length;
  }
  if (end !== text.length) throw new Error(`no label at ${text.slice(end)}`);
  return { name, labels, value: Number(value) };
}

function once(seen: Set<string>, what: string): void {
  if (seen.has(what)) throw new Error(`twice: ${what}`);
  seen.add(what);
}

/** The value of the only sample of a name. */
export function metric(samples: readonly ParsedSample[], name: string): number | undefined {
  return samples.find((sample) => sample.name === name)?.value;
}
