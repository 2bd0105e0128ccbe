// The readers, for esbuild: the packages of cornerstone are made for bundlers, and node can't load
// them as they are.

export { adaptersSEG, adaptersSR } from "@cornerstonejs/adapters";
export { metaData } from "@cornerstonejs/core";
export { default as dcmjs } from "dcmjs";
