export { cut_chunks } from "./cut-chunks";
export { merge_regions } from "./merge-regions";
export { sort_regions } from "./sort-regions";
export { touch_pages } from "./touch-pages";
