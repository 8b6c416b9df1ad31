package faults

// chunks is about registries with ideas of their own on how a blob may come.
var chunks = []Fault{
	{
		Name: "chunk-201", Part: Writing, Shared: true, Does: "201 to a chunk", At: blobs, Server: []string{"created-chunks"},
		Strikes: []string{"reset-after={part}"}, Want: survives(0.5, 4),
	},
	{
		Name: "chunk-not-kept", Part: Writing, Shared: true, Does: "a chunk is taken, and the session stands where it stood", At: blobs,
		Strikes: []string{"reset-after={part}", "keep=0,method=PATCH,times=0"}, Want: survives(2, 8),
	},
	{
		Name: "chunk-stuck", Part: Writing, Shared: true, Row: "chunk-not-kept", Does: "a chunk is kept, and the session says it stands where it stood", At: blobs,
		Server: []string{"stuck-range"}, Strikes: []string{"reset-after={part}"}, Want: survives(2, 8),
	},
	{
		Name: "chunk-min", Part: Writing, Shared: true, Does: "chunks have a least size, and a whole blob is too large", At: []Position{Middle}, Lasts: true,
		Server: []string{"chunk-min=300000", "max-body=400000"}, Strikes: []string{"header=X-Faulty:1"}, Want: survives(2, 12),
	},
	{
		Name: "chunk-413", Part: Writing, Shared: true, Does: "413: a proxy takes no body of more than 400 kB", At: []Position{Middle}, Lasts: true,
		Server: []string{"max-body=400000"}, Strikes: []string{"header=X-Faulty:1"}, Want: survives(2, 12),
	},
	{
		Name: "chunk-416", Part: Writing, Shared: true, Row: "chunk-413", Does: "416: a chunk may have 400 kB, a stream more", At: []Position{Middle},
		Server: []string{"max-chunk=400000"}, Strikes: []string{"reset-after={part}"}, Want: survives(3, 12),
	},
	{
		Name: "chunk-order", Part: Writing, Shared: true, Does: "416: the session stands elsewhere than was thought", At: blobs,
		Strikes: []string{"reset-after={part}", "status=416,method=PATCH,times=1"}, Want: survives(2, 8),
	},
	{
		Name: "no-chunks", Part: Writing, Shared: true, Row: "chunk-not-kept", Does: "a session goes on nowhere but at its beginning", At: blobs,
		Server: []string{"no-chunks"}, Strikes: []string{"reset-after={part}"}, Want: survives(2, 8),
	},
}
