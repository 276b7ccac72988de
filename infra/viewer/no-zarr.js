// Zarr images live on web servers, which the page never asks: their reader and its decoders are half of niivue.
const refuse = () => {
  throw new Error('zarr images are not read here')
}
export { refuse as FetchStore, refuse as get, refuse as open, refuse as root, refuse as slice }
