package content

import (
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Media types that the OCI constants leave out.
// https://github.com/distribution/distribution/blob/v2.8.3/docs/spec/manifest-v2-2.md
const (
	DockerManifest     = "application/vnd.docker.distribution.manifest.v2+json"
	DockerManifestList = "application/vnd.docker.distribution.manifest.list.v2+json"
	DockerConfig       = "application/vnd.docker.container.image.v1+json"
	DockerLayer        = "application/vnd.docker.image.rootfs.diff.tar"
	DockerLayerGzip    = "application/vnd.docker.image.rootfs.diff.tar.gzip"
	DockerForeignLayer = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"

	DockerSchema1       = "application/vnd.docker.distribution.manifest.v1+json"
	DockerSchema1Signed = "application/vnd.docker.distribution.manifest.v1+prettyjws"
)

// AnnotationContainerdName is the key under which containerd, docker and
// podman keep an image's full reference in the index.json of a layout.
const AnnotationContainerdName = "io.containerd.image.name"

// AnnotationReferenceType and AnnotationReferenceDigest mark the attestation
// manifests that BuildKit puts beside the images of an index.
// https://github.com/moby/buildkit/blob/v0.17.0/docs/attestations/attestation-storage.md
const (
	AnnotationReferenceType   = "vnd.docker.reference.type"
	AnnotationReferenceDigest = "vnd.docker.reference.digest"
)

// IsIndex reports whether mediaType is that of an OCI index or a docker
// manifest list.
func IsIndex(mediaType string) bool {
	return mediaType == ocispec.MediaTypeImageIndex || mediaType == DockerManifestList
}

// IsManifest reports whether mediaType is that of an OCI or docker image
// manifest. An OCI manifest may be an artifact's.
func IsManifest(mediaType string) bool {
	return mediaType == ocispec.MediaTypeImageManifest || mediaType == DockerManifest
}

// IsForeign reports whether mediaType is that of a layer that registries do
// not keep, and whose bytes are named by URLs.
// https://github.com/opencontainers/image-spec/blob/v1.1.1/layer.md#non-distributable-layers
func IsForeign(mediaType string) bool {
	switch mediaType {
	case DockerForeignLayer,
		"application/vnd.docker.image.rootfs.foreign.diff.tar",
		"application/vnd.oci.image.layer.nondistributable.v1.tar",
		"application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
		"application/vnd.oci.image.layer.nondistributable.v1.tar+zstd":
		return true
	}
	return false
}

// IsRawLayer reports whether mediaType is that of an uncompressed layer tar.
func IsRawLayer(mediaType string) bool {
	return mediaType == ocispec.MediaTypeImageLayer || mediaType == DockerLayer
}

// ManifestMediaTypes are the types a client accepts when it asks for a
// manifest, the preferred one first.
func ManifestMediaTypes() []string {
	return []string{
		ocispec.MediaTypeImageIndex,
		ocispec.MediaTypeImageManifest,
		DockerManifestList,
		DockerManifest,
		"application/vnd.oci.artifact.manifest.v1+json",
		DockerSchema1Signed,
		DockerSchema1,
		"*/*",
	}
}
