import { type GGUFTypedMetadata, GGUFValueType } from "@huggingface/gguf";

/** A metadata value with the type it is stored as: llama.cpp refuses the right number in the wrong type. */
export type MetadataEntry = GGUFTypedMetadata[string];
export type Metadata = Readonly<Record<string, MetadataEntry>>;

export const u16 = (value: number): MetadataEntry => ({ value, type: GGUFValueType.UINT16 });
export const u32 = (value: number): MetadataEntry => ({ value, type: GGUFValueType.UINT32 });
export const i32 = (value: number): MetadataEntry => ({ value, type: GGUFValueType.INT32 });
export const f32 = (value: number): MetadataEntry => ({ value, type: GGUFValueType.FLOAT32 });
export const bool = (value: boolean): MetadataEntry => ({ value, type: GGUFValueType.BOOL });
export const string = (value: string): MetadataEntry => ({ value, type: GGUFValueType.STRING });

export const strings = (value: string[]): MetadataEntry => array(value, GGUFValueType.STRING);
export const f32s = (value: number[]): MetadataEntry => array(value, GGUFValueType.FLOAT32);
export const i32s = (value: number[]): MetadataEntry => array(value, GGUFValueType.INT32);
export const bools = (value: boolean[]): MetadataEntry => array(value, GGUFValueType.BOOL);

function array(value: string[] | number[] | boolean[], subType: GGUFValueType): MetadataEntry {
  return { value, type: GGUFValueType.ARRAY, subType };
}
