package registry

import "github.com/wherry-dev/wherry/internal/httpx"

// An Answer is what the client does about registries that do something in their
// own way. [Client.Without] leaves answers out. The registries that need them
// are in docs/registries.md.
type Answer uint32

// The answers, each with what a registry does, what the client does about it,
// and where that was seen.
const (
	// A challenge names no scope: the client names the one that the request takes.
	// https://github.com/sonatype/nexus-public/issues/659
	OwnScopes Answer = 1 << iota

	// A challenge names a scope that is no repository's: the client asks for it
	// beside its own. https://docs.aws.amazon.com/AmazonECR/latest/public/public-registry-auth.html
	NamedScopes

	// A 401 comes without a challenge: the client takes that of /v2/.
	// https://github.com/containers/image/blob/main/docker/docker_client.go
	PingForChallenge

	// A token comes as access_token alone: the client takes that.
	// https://github.com/Azure/acr/blob/main/docs/AAD-OAuth.md
	AccessTokens

	// An identity token is not taken with POST: the client shows it as a password,
	// with GET. https://github.com/containerd/containerd/blob/main/core/remotes/docker/authorizer.go
	GetTokens

	// A token ends in the middle of a copy: the client gets another at the first
	// 401. https://gitlab.com/gitlab-org/gitlab/-/issues/19867
	RenewTokens

	// A token server refuses "delete" among the actions: the client asks for "*".
	// https://github.com/containers/image/blob/main/docker/docker_image_src.go
	AllActions

	// A request too many is answered 429, one to a server behind a proxy 502: the
	// client waits, and sends it again.
	// https://docs.aws.amazon.com/AmazonECR/latest/public/public-service-quotas.html
	ComeBack

	// A list comes in pages: the client gets them all.
	// https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#listing-tags
	TurnPages

	// Names in a list are null: the client passes over them.
	// https://github.com/containers/skopeo/issues/2409
	SkipNulls

	// Digests are listed among the tags: the client passes over them.
	// https://github.com/containers/skopeo/issues/2346
	SkipDigests

	// Getting a manifest counts against a limit, and HEAD does not: the client asks
	// with HEAD what a name stands for. https://docs.docker.com/docker-hub/usage/pulls/
	AskByHead

	// HEAD does not find a manifest that GET gives: the client looks by GET where
	// it cannot trust HEAD. https://github.com/crazy-max/diun/issues/1614
	DoubtHead

	// HEAD of a manifest is not allowed: the client asks with GET.
	// https://github.com/containerd/containerd/blob/main/core/remotes/docker/resolver.go
	ReplaceHead

	// HEAD does not name a manifest's digest, type or size: the client learns them
	// by GET. https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#pulling-manifests
	CompleteHead

	// A tag that is not there is 403, or who asks for a blob with HEAD is denied: the
	// client lets who writes find out, and takes no signature to be there that was
	// not seen.
	// https://github.com/google/go-containerregistry/pull/1691
	WriteUnseen

	// Answers come in gzip unasked: the client unpacks them, compares after that,
	// and takes no length from a HEAD that is about the gzip.
	// https://github.com/oras-project/oras-go/issues/1176
	Inflate

	// Where another client puts a child at the same moment, an index is refused for
	// want of it: the client puts the index again. So it does with a manifest that
	// is refused for what the registry says it has when it is asked.
	// https://github.com/distribution/distribution/blob/v2.8.3/registry/storage/linkedblobstore.go
	PutAgain

	// There is no referrers API: the client reads and writes the fallback tag.
	// https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#unavailable-referrers-api
	FallbackTag

	// The referrers API does not filter: the client does.
	// https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#listing-referrers
	FilterReferrers

	// A mount is refused, or an upload session opened in its place: the client
	// sends the blob.
	// https://github.com/google/go-containerregistry/issues/1679
	SendUnmounted

	// Chunks are refused, or lost: the client sends whole blobs.
	// https://github.com/aws/containers-roadmap/issues/2831
	SendWhole

	// A body is larger than the registry, or a proxy before it, takes: the client
	// sends chunks, and smaller ones. https://github.com/goharbor/harbor/issues/23015
	SendChunks

	// An upload is refused with 416 though it stands at its beginning: the client
	// opens another. https://github.com/Azure/acr/issues/866
	BeginAnew

	// A body of unknown length is refused: the client says how long each is.
	// https://github.com/goharbor/harbor/pull/23016
	TellLength

	// A chunk is answered 201, as if the blob were there: the client goes on.
	// https://github.com/google/go-containerregistry/issues/1091
	TakeCreated

	// A session has another URL after each chunk: the client goes there.
	// https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#pushing-a-blob-in-chunks
	FollowSession

	// Tags are not deleted as manifests are, but at a path of their own: the client
	// deletes them there. https://github.com/werf/werf/pull/2603
	UntagAtPath

	// HEAD leads to storage that allows GET alone: the client takes the blob to be there.
	// https://docs.aws.amazon.com/AmazonS3/latest/userguide/ShareObjectPreSignedURL.html
	TrustRedirect

	// The URL of a blob in storage has run out: the client asks the registry for
	// another. https://docs.aws.amazon.com/AmazonS3/latest/userguide/ShareObjectPreSignedURL.html
	AskForURL

	// A Range is ignored: the client reads on at the byte it needs.
	// https://www.rfc-editor.org/rfc/rfc9110#section-14.2
	SkipToRange
)

// answers reports whether the client gives an answer.
func (c *Client) answers(a Answer) bool { return c.Without&a == 0 }

func (h *host) answers(a Answer) bool { return h.client.answers(a) }

// told returns the length that a body of n bytes is said to have; 0 says nothing.
func (h *host) told(n int64) int64 {
	if !h.answers(TellLength) {
		return 0
	}
	return n
}

// requestTries returns how often in a row one request is sent.
func (h *host) requestTries() int {
	if !h.answers(ComeBack) {
		return 1
	}
	return h.tries()
}

// comesBack reports whether what was answered with status is worth another try.
func (h *host) comesBack(status int) bool { return h.answers(ComeBack) && httpx.IsTemporary(status) }
