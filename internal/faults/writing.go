package faults

import (
	"time"

	"github.com/wherry-dev/wherry/content"
)

// manifests is where a fault strikes that is about manifests alone.
var manifests = []Position{Manifest}

// invisible is what a registry answers to a manifest whose blobs it does not see yet.
const invisible = `,body={"errors":[{"code":"MANIFEST_BLOB_UNKNOWN","message":"blob unknown to registry"}]}`

// writing is what breaks uploads.
var writing = []Fault{
	{
		Name: "upload-rst", Part: Writing, Shared: true, Does: "the connection is reset in the middle of an upload",
		Strikes: []string{"reset-after={part}"}, Want: survives(0.5, 4),
	},
	{
		Name: "upload-fin", Part: Writing, Shared: true, Row: "upload-rst", Does: "the connection is closed in the middle of an upload",
		Strikes: []string{"cut-after={part}"}, Want: survives(0.5, 4),
	},
	{
		Name: "upload-unanswered", Part: Writing, Shared: true, Row: "upload-rst", Does: "the connection is reset when all of it is there, before the answer",
		Strikes: []string{"reset-after={size}"}, Want: survives(1, 4),
	},
	{
		Name: "upload-stall", Part: Writing, Row: "upload-rst", Does: "a registry reads half of an upload, and no more",
		Strikes: []string{"stall-after={part}"}, Want: survives(1, 4).within(2*stall + unhurried),
	},
	{
		Name: "upload-stream-reset", Part: Writing, Row: "stream-reset", Does: "HTTP/2: RST_STREAM in the middle of an upload", Protocols: []Protocol{HTTP2},
		Strikes: []string{"stream-reset={part}"}, Want: survives(0.5, 4),
	},
	{
		Name: "upload-stream-refuse", Part: Writing, Row: "stream-reset", Does: "HTTP/2: an upload is answered with REFUSED_STREAM", Protocols: []Protocol{HTTP2},
		Strikes: []string{"stream-refuse"}, Want: survives(1, 4),
	},
	{
		Name: "upload-goaway", Part: Writing, Shared: true, Row: "stream-reset", Does: "HTTP/2: GOAWAY in the middle of an upload, and the end of the connection", Protocols: []Protocol{HTTP2},
		Strikes: []string{"goaway={part}"}, Want: survives(0.5, 4),
	},
	{
		Name: "upload-500", Part: Writing, Does: "500 to an upload, or to a manifest",
		Strikes: []string{"status=500"}, Want: survives(1, 4),
	},
	{
		Name: "upload-500-always", Part: Writing, Row: "upload-500", Does: "500 every time", Lasts: true,
		Strikes: []string{"status=500"}, Want: fails(content.ErrUnavailable, 16, "500", "{host}", "{digest}").again(6),
	},
	{
		Name: "session-503", Part: Writing, Row: "upload-500", Does: "503 where an upload session is asked for", At: blobs,
		Strikes: []string{"status=503,method=POST,about=any"}, Want: survives(0, 1),
	},
	{
		Name: "session-lost", Part: Writing, Does: "the upload session is gone", At: blobs,
		Strikes: []string{"session-lost"}, Want: survives(1, 3),
	},
	{
		Name: "session-lost-always", Part: Writing, Row: "session-lost", Does: "every upload session is gone", Lasts: true, At: blobs,
		Strikes: []string{"session-lost"}, Want: fails(content.ErrUnavailable, 9, "lost 4 upload sessions", "{digest}").again(3),
	},
	{
		Name: "upload-busy", Part: Writing, Does: "429 to an upload, and Retry-After says 8 seconds",
		Strikes: []string{"status=429,retry-after=8"}, Want: survives(1, 4).waits(8 * time.Second),
	},
	{
		Name: "upload-revoked", Part: Writing, Shared: true, Does: "401 to an upload: tokens end before their time", Server: login,
		Strikes: []string{"revoke"}, Want: survives(1, 9),
		Thrice: fails(content.ErrUnauthorized, 9, "401", "{host}").again(2).also(),
	},
	{
		Name: "manifest-500", Part: Writing, Does: "500 to a manifest", At: manifests,
		Strikes: []string{"status=500"}, Want: survives(1, 1),
	},
	{
		Name: "session-elsewhere", Part: Writing, Does: "the upload session is at another host",
		Held: []string{"registry.TestAnUploadElsewhereGetsNoCredentials"},
	},
	location("session-relative", "relative", nil), location("session-absolute", "absolute", nil),
	location("session-in-http", "plain", []Protocol{HTTPS, HTTP2}),
	{
		Name: "mount-refused", Part: Writing, Does: "a mount is answered with a session, or refused",
		Held: []string{"registry.TestABlobOfTheSameHostIsMounted", "internal/matrix.TestCopyWithinARegistryMounts"},
	},
	{
		Name: "blobs-invisible", Part: Writing, Does: "a manifest is refused, for its blobs are not seen yet", At: manifests,
		Strikes: []string{"status=404" + invisible}, Want: survives(1, 20),
	},
	{
		Name: "phantom", Part: Writing, Row: "blobs-invisible", Does: "HEAD says a blob is there, and it is not", At: blobs,
		Strikes: []string{"phantom={size},kind=blob,method=HEAD"}, Want: survives(1, 20),
	},
	{
		Name: "stored-otherwise", Part: Writing, Does: "Docker-Content-Digest of a blob that was stored is another", Lasts: true, At: blobs,
		Strikes: []string{"digest=wrong"}, Want: fails(content.ErrCorrupt, 4, "{digest}"),
	},
	{
		Name: "manifest-otherwise", Part: Writing, Row: "stored-otherwise", Does: "Docker-Content-Digest of a manifest that was stored is another",
		Held: []string{"registry.TestPuttingAManifestIsCheckedOnBothSides"}, // the tag stands for something then
	},
	{
		Name: "no-repository", Part: Writing, Does: "the repository has to be made first", Lasts: true, At: []Position{First},
		Server: []string{"must-exist"}, Strikes: []string{"header=X-Faulty:1,method=any,about=any,kind=any"},
		Want: fails(content.ErrNotFound, 4, "NAME_UNKNOWN", "{host}"),
	},
	{
		Name: "push-interrupted", Part: Writing, Does: "a push of several platforms ends in the middle",
		Held: []string{"internal/matrix.TestNamesAreWrittenLast", "e2e.TestAKilledCopyIntoARegistryIsCompletedByARerun"},
	},
	{
		Name: "head-403", Part: Writing, Does: "403 to whoever asks what a tag stands for", Lasts: true, Protocols: []Protocol{HTTP},
		Strikes: []string{"status=403,method=HEAD,kind=manifest,about=any"}, Want: survives(0, 2),
	},
	{
		Name: "blob-head-403", Part: Writing, Row: "head-403", Does: "403 to whoever asks whether a blob is there", Lasts: true, At: blobs,
		Strikes: []string{"status=403,method=HEAD,kind=blob"}, Want: survives(0, 2),
	},
}

// location is about how an upload session is named.
func location(name, how string, only []Protocol) Fault {
	return Fault{
		Name: name, Part: Writing, Row: "Location of a session", Does: "the upload session's Location is " + how, At: blobs, Lasts: true, Protocols: only,
		Strikes: []string{"location=" + how + ",method=POST,about=any"}, Want: survives(0, 0),
	}
}
