/** ECMA-48 codes. `styleText` of `node:util` is missing from the oldest Node 20. */
const STYLES = { bold: [1, 22], dim: [2, 22], green: [32, 39], yellow: [33, 39] } as const;

export type Style = keyof typeof STYLES;
export type Paint = (style: Style, text: string) => string;

/** No colours. */
export const plain: Paint = (_, text) => text;

/** Colours for a stream: on a terminal only, and never when `NO_COLOR` is set (no-color.org). */
export function painter(stream: { readonly isTTY?: boolean }): Paint {
  const noColor = process.env["NO_COLOR"] ?? "";
  if (stream.isTTY !== true || noColor !== "" || process.env["TERM"] === "dumb") {
    return plain;
  }
  return (style, text) => {
    const [on, off] = STYLES[style];
    return `\u001b[${on}m${text}\u001b[${off}m`;
  };
}
