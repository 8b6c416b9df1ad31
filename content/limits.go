package content

// Limits bound what is read of content that somebody else made. A zero field
// means its default, a negative one no limit.
type Limits struct {
	ManifestSize int64 // bytes of one manifest or index; 4 MiB, what the distribution spec asks registries to take
	Depth        int   // indexes within indexes; 8
	Children     int   // manifests of one index; 4,096
	Layers       int   // layers of one manifest; 1,024
	Nesting      int   // JSON objects and arrays within each other; 64
	Nodes        int   // manifests of one graph; 65,536
	GraphSize    int64 // bytes of all manifests of one graph; 16 MiB
	Referrers    int   // manifests that refer to one image or to each other; 4,096
	ConfigSize   int64 // bytes of an image's config that is read; 8 MiB, real ones have some ten kilobytes
}

const unlimited = int(^uint(0) >> 1)

// Effective returns l with the defaults filled in; no limit is the largest
// number there is.
func (l Limits) Effective() Limits {
	l.ManifestSize = int64(bound(int(l.ManifestSize), 4<<20))
	l.Depth = bound(l.Depth, 8)
	l.Children = bound(l.Children, 4096)
	l.Layers = bound(l.Layers, 1024)
	l.Nesting = bound(l.Nesting, 64)
	l.Nodes = bound(l.Nodes, 1<<16)
	l.GraphSize = int64(bound(int(l.GraphSize), 16<<20))
	l.Referrers = bound(l.Referrers, 4096)
	l.ConfigSize = int64(bound(int(l.ConfigSize), 8<<20))
	return l
}

func bound(v, standard int) int {
	switch {
	case v == 0:
		return standard
	case v < 0:
		return unlimited
	}
	return v
}
