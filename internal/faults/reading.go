package faults

import (
	"time"

	"github.com/wherry-dev/wherry/content"
)

// blobs are the positions of what is read in spans.
var blobs = []Position{First, Middle, Last, Config}

// stall is the silence after which a connection counts as broken.
const stall = 30 * time.Second

// reading is what breaks bodies.
var reading = []Fault{
	{
		Name: "rst-half", Part: Reading, Does: "the connection is reset in the middle of a body",
		Strikes: []string{"reset-after={part}"}, Want: survives(0.5, 1),
	},
	{
		Name: "rst-unanswered", Part: Reading, Row: "rst-half", Does: "the connection is reset in place of an answer",
		Strikes: []string{"reset-after=-1"}, Want: survives(0, 1),
	},
	{
		Name: "fin-half", Part: Reading, Does: "the connection is closed in the middle of a body, whose length was told",
		Strikes: []string{"cut-after={part}"}, Want: survives(0.5, 1),
	},
	{
		Name: "chunk-cut", Part: Reading, Does: "a body without a length ends without its last chunk",
		Strikes: []string{"chunk-cut={part}"}, Want: survives(0.5, 1),
	},
	{
		Name: "fin-silent", Part: Reading, Row: "fin-half, rst-half", Does: "every body is closed before its first byte",
		Strikes: []string{"cut-after=0"}, Lasts: true,
		Want: fails(content.ErrUnavailable, 5, "broke off"),
	},
	{
		Name: "range-ignored", Part: Reading, Does: "a span is asked for and all of the blob comes", At: blobs,
		Strikes: []string{"cut-after={part}", "ignore-range,times=0"}, Want: survives(1, 1),
	},
	{
		Name: "span-elsewhere", Part: Reading, Does: "a span is asked for and another one comes", At: blobs,
		Strikes: []string{"cut-after={part}", "content-range=shift,times=0"}, Want: survives(1, 2),
	},
	{
		Name: "span-without-place", Part: Reading, Does: "a span comes without Content-Range", At: blobs,
		Strikes: []string{"cut-after={part}", "content-range=none,times=0"}, Want: survives(1, 2),
	},
	{
		Name: "span-without-total", Part: Reading, Row: "span-without-place", Does: "a span comes with * as the size of the whole", At: blobs,
		Strikes: []string{"cut-after={part}", "content-range=star,times=0"}, Want: survives(1, 2),
	},
	{
		Name: "span-in-parts", Part: Reading, Row: "span-without-place", Does: "a span comes as multipart/byteranges", At: blobs,
		Strikes: []string{"cut-after={part}", "multipart,times=0"}, Want: survives(1, 2),
	},
	{
		Name: "span-416", Part: Reading, Does: "416 to the span that is missing", At: blobs,
		Strikes: []string{"cut-after={part}", "status=416,nth=2,times=1"}, Want: survives(1, 2),
	},
	{
		Name: "corrupt", Part: Reading, Does: "one bit of a body is wrong",
		Strikes: []string{"flip={half}"}, Want: survives(1, 4),
		Thrice: fails(content.ErrCorrupt, 4, "{digest}").also(),
	},
	{
		Name: "corrupt-always", Part: Reading, Does: "one bit is wrong every time", Lasts: true,
		Strikes: []string{"flip={half}"}, Want: fails(content.ErrCorrupt, 4, "{digest}"),
	},
	{
		Name: "shorter", Part: Reading, Does: "Content-Length is less than the descriptor's size", Lasts: true,
		Strikes: []string{"shorter=7"}, Want: fails(content.ErrCorrupt, 4, "{digest}"),
	},
	{
		Name: "longer", Part: Reading, Does: "a body goes on for 2 GiB after its end", Lasts: true, At: blobs,
		Strikes: []string{"longer=2GiB"}, Want: fails(content.ErrCorrupt, 4, "{digest}"),
	},
	{
		Name: "endless", Part: Reading, Row: "longer", Does: "a body without a length never ends", Lasts: true, At: blobs,
		Strikes: []string{"endless"}, Want: fails(content.ErrCorrupt, 4, "{digest}").buffers(4 * buffers),
	},
	{
		Name: "stall-half", Part: Reading, Does: "half of a body comes, then silence",
		Strikes: []string{"stall-after={part}"}, Want: survives(0.5, 1).within(stall + unhurried),
	},
	{
		Name: "stall-start", Part: Reading, Row: "stall-half", Does: "silence in place of an answer",
		Strikes: []string{"hold"}, Want: survives(0, 1).within(stall + unhurried),
	},
	{
		Name: "trickle", Part: Reading, Does: "a byte comes every ten seconds", At: blobs,
		Strikes: []string{"trickle={part}"}, Want: survives(0.5, 1).within(4*stall + 20*time.Second + unhurried),
	},
	{
		Name: "gzip", Part: Reading, Does: "a proxy compresses what nobody asked it to", Lasts: true,
		Strikes: []string{"gzip"}, Want: survives(0.1, 0),
	},
	{
		Name: "stream-reset", Part: Reading, Does: "HTTP/2: RST_STREAM in the middle of a body", Protocols: []Protocol{HTTP2},
		Strikes: []string{"stream-reset={part}"}, Want: survives(0.5, 1),
	},
	{
		Name: "stream-refuse", Part: Reading, Row: "stream-reset", Does: "HTTP/2: RST_STREAM with REFUSED_STREAM in place of an answer", Protocols: []Protocol{HTTP2},
		Strikes: []string{"stream-refuse"}, Want: survives(0.5, 1),
	},
	{
		Name: "goaway", Part: Reading, Row: "stream-reset", Does: "HTTP/2: GOAWAY in the middle of a body, and the end of the connection", Protocols: []Protocol{HTTP2},
		Strikes: []string{"goaway={part}"}, Want: survives(0.5, 2),
	},
	{
		Name: "idle-closed", Part: Reading, Does: "a kept connection is closed as the next request is sent over it",
		Strikes: []string{"cut-after=-1"}, Want: survives(0, 1),
	},
}
