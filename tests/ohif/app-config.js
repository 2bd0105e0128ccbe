// OHIF's settings: the only data source is the Orthanc that the page comes from.
window.config = {
  extensions: [],
  modes: [],
  customizationService: [{ 'ohif.tours': { $set: [] } }], // they would lie over the page
  showStudyList: false,
  disableConfirmationPrompts: true, // a SEG is loaded without a question
  investigationalUseDialog: { option: 'never' },
  defaultDataSourceName: 'orthanc',
  dataSources: [
    {
      namespace: '@ohif/extension-default.dataSourcesModule.dicomweb',
      sourceName: 'orthanc',
      configuration: {
        qidoRoot: '/dicom-web',
        wadoRoot: '/dicom-web',
        wadoUriRoot: '/dicom-web/wado',
        imageRendering: 'wadors',
        thumbnailRendering: 'wadors',
        enableStudyLazyLoad: true,
        omitQuotationForMultipartRequest: true,
        bulkDataURI: { enabled: true, relativeResolution: 'studies' },
      },
    },
  ],
};
