// Reads the results of a study with dcmjs and the adapters of cornerstone, and writes what they
// return into a file: node read_results.mjs TASK, in JSON.
//
// TASK: readers (path of the bundle), source (paths of the images, in the order of the slices), segs
// (paths by name), structureSet, report and out (paths).

import { readFileSync, writeFileSync } from "node:fs";

const task = JSON.parse(process.argv[2]);

// The readers are made for browsers: they ask for these while they are loaded.
globalThis.self = globalThis;
globalThis.window = globalThis;
const { adaptersSEG, adaptersSR, dcmjs, metaData } = await import(task.readers);

const { DicomMessage, DicomMetaDictionary } = dcmjs.data;

function bytesOf(path) {
  const file = readFileSync(path);
  return file.buffer.slice(file.byteOffset, file.byteOffset + file.byteLength);
}

function datasetOf(path) {
  return DicomMetaDictionary.naturalizeDataset(DicomMessage.readFile(bytesOf(path)).dict);
}

function listOf(value) {
  return Array.isArray(value) ? value : [value];
}

const images = new Map(
  task.source.map((path, slice) => [`source:${slice}`, datasetOf(path)]),
);

// What cornerstone knows of an image of the source.
metaData.addProvider((type, imageId) => {
  const image = images.get(imageId);
  if (image === undefined) {
    return undefined;
  }
  const orientation = image.ImageOrientationPatient;
  const modules = {
    instance: image,
    frameNumber: 1,
    generalSeriesModule: { seriesInstanceUID: image.SeriesInstanceUID, modality: image.Modality },
    generalImageModule: { sopInstanceUID: image.SOPInstanceUID },
    sopCommonModule: { sopInstanceUID: image.SOPInstanceUID, sopClassUID: image.SOPClassUID },
    imagePixelModule: {
      bitsAllocated: image.BitsAllocated,
      bitsStored: image.BitsStored,
      highBit: image.HighBit,
      pixelRepresentation: image.PixelRepresentation,
      photometricInterpretation: image.PhotometricInterpretation,
      samplesPerPixel: image.SamplesPerPixel,
    },
    imagePlaneModule: {
      frameOfReferenceUID: image.FrameOfReferenceUID,
      rows: image.Rows,
      columns: image.Columns,
      imageOrientationPatient: orientation,
      imagePositionPatient: image.ImagePositionPatient,
      rowCosines: orientation.slice(0, 3),
      columnCosines: orientation.slice(3),
      pixelSpacing: image.PixelSpacing,
      rowPixelSpacing: image.PixelSpacing[0],
      columnPixelSpacing: image.PixelSpacing[1],
      sliceThickness: image.SliceThickness,
    },
  };
  return modules[type];
});

// The labels that the adapters paint over each image of the source, and the segments.
async function readSeg(path) {
  const read = await adaptersSEG.Cornerstone3D.Segmentation.createFromDICOMSegBuffer(
    [...images.keys()],
    bytesOf(path),
    { metadataProvider: metaData, tolerance: 1e-3 },
  );
  const [slices] = read.labelMapImages;
  return {
    labels: slices.map((slice) => [...slice.getPixelData()]),
    overlapping: read.overlappingSegments,
    segments: read.segMetadata.data.filter(Boolean).map((segment) => ({
      number: segment.SegmentNumber,
      label: segment.SegmentLabel,
      cielab: segment.RecommendedDisplayCIELabValue,
      type: segment.SegmentedPropertyTypeCodeSequence,
    })),
  };
}

// Names, colours and contours of a structure set, as dcmjs reads them.
function readStructureSet(path) {
  const set = datasetOf(path);
  const names = new Map(
    listOf(set.StructureSetROISequence).map((roi) => [roi.ROINumber, roi.ROIName]),
  );
  return listOf(set.ROIContourSequence).map((roi) => ({
    name: names.get(roi.ReferencedROINumber),
    rgb: listOf(roi.ROIDisplayColor),
    contours: listOf(roi.ContourSequence).map((contour) => contour.ContourData),
  }));
}

// The measurement groups that the adapters find in a report (TID 1500). The adapters know only
// measurements that were drawn on images, so an adapter of our own takes the groups as they are.
function readReport(path) {
  const groups = {
    toolType: "Group",
    getMeasurementData: (group) => ({ items: listOf(group.ContentSequence).map(itemOf) }),
  };
  const { MeasurementReport } = adaptersSR.Cornerstone3D;
  const read = (hooks) => MeasurementReport.generateToolState(datasetOf(path), {}, metaData, hooks);
  return {
    tools: read(undefined),
    groups: read({ getToolClass: () => groups }).Group,
  };
}

function itemOf(item) {
  const measured = listOf(item.MeasuredValueSequence)[0];
  const code = listOf(item.ConceptCodeSequence)[0];
  return {
    name: listOf(item.ConceptNameCodeSequence)[0].CodeMeaning,
    text: item.TextValue ?? item.UID ?? code?.CodeMeaning,
    value: measured?.NumericValue,
    unit: measured && listOf(measured.MeasurementUnitsCodeSequence)[0].CodeValue,
  };
}

const segs = {};
for (const [name, path] of Object.entries(task.segs)) {
  try {
    segs[name] = await readSeg(path);
  } catch (error) {
    segs[name] = { refused: String(error) };
  }
}
const read = {
  segs,
  structureSet: readStructureSet(task.structureSet),
  report: readReport(task.report),
};
writeFileSync(task.out, JSON.stringify(read));
process.exit(0);
