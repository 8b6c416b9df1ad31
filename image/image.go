// Package image looks into one image: what was done to make it, and what is in
// its layers. It also makes images of root file systems.
//
// It reads from any place that package content knows as a [content.Source]: a
// registry, an OCI layout, an archive. What it is handed is the manifest of one
// image; of an index [content.ImageFor] finds the image for a platform.
//
// [History] tells the steps that made an image, from its manifest and config.
// [Attached] finds the signatures, SBOMs and attestations of one manifest in few
// requests, and a [Survey] those of an image, of its platforms and of each other.
// [BaseOf] and [StartsWith] tell what an image was built on.
// [Export] writes its root file system as a tar: the layers one over the other,
// without what they remove, verified, and clean whatever the layers hold.
// A [Reader] tells what layers have without that: from a cache, from a table of
// contents that a layer carries, or from the layer; a [Tree] is what they make
// together, and what each does to the ones below it, and an [Analysis] what of
// that is wasted and what could be done about it.
// [Import] makes an image of such a tar, and puts it into a [content.Sink].
package image
