package content

import "slices"

// Spans are spans of one blob: in ascending order, none of length zero, none
// touching the next. Every Len is a length: 0 does not mean "to the end" here.
type Spans []Range

// Add returns s with r, which is of any length, added. Like append it may write
// to the array of s: whoever keeps s as it was clones it before.
func (s Spans) Add(r Range) Spans {
	if r.Len == 0 {
		return s
	}
	from, to := r.Off, r.Off+r.Len
	i, _ := slices.BinarySearchFunc(s, from, func(have Range, at int64) int {
		if have.Off+have.Len < at {
			return -1
		}
		return 1
	})
	j := i
	for j < len(s) && s[j].Off <= to {
		from, to = min(from, s[j].Off), max(to, s[j].Off+s[j].Len)
		j++
	}
	return slices.Replace(s, i, j, Range{Off: from, Len: to - from})
}

// Bytes returns how many bytes s has.
func (s Spans) Bytes() int64 {
	var n int64
	for _, r := range s {
		n += r.Len
	}
	return n
}

// Missing returns what s leaves out of a blob of size bytes.
func (s Spans) Missing(size int64) Spans {
	var missing Spans
	end := int64(0)
	for _, r := range s {
		if r.Off > end {
			missing = append(missing, Range{Off: end, Len: r.Off - end})
		}
		end = r.Off + r.Len
	}
	if end < size {
		missing = append(missing, Range{Off: end, Len: size - end})
	}
	return missing
}

// Within reports whether s is as Spans are, and ends by size: to be asked of
// what comes from a file.
func (s Spans) Within(size int64) bool {
	end := int64(-1)
	for _, r := range s {
		if r.Off <= end || r.Len <= 0 || r.Off > size || r.Len > size-r.Off {
			return false
		}
		end = r.Off + r.Len
	}
	return true
}
