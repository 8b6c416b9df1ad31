package image

import (
	"slices"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// A layerPair says where a layer stands in each of two images, from 0; -1 where
// that one does not have it.
type layerPair struct{ at [2]int }

func (p layerPair) shared() bool { return p.at[0] >= 0 && p.at[1] >= 0 }

// any returns an image that has the layer, and where it stands there.
func (p layerPair) any() (side, at int) {
	if p.at[0] >= 0 {
		return 0, p.at[0]
	}
	return 1, p.at[1]
}

func (p layerPair) shown(sides [2]*side) LayerPair {
	var all [2]ocispec.Descriptor
	for i, at := range p.at {
		if at >= 0 {
			all[i] = sides[i].layers[at].Descriptor
		}
	}
	return LayerPair{all[0], all[1]}
}

// maxAligned bounds the work of finding layers that stand in the middle of both
// images: it is the product of how many each has there.
const maxAligned = 1 << 20

// alignLayers pairs the layers that two images have in the same order, as many as
// there are. Those of a first and then those of b alone stand between them. Layers
// are the same where their diff IDs are.
func alignLayers(a, b []layer) []layerPair {
	var pairs, tail []layerPair
	low, highA, highB := 0, len(a), len(b)
	for low < highA && low < highB && a[low].diffID == b[low].diffID {
		pairs = append(pairs, layerPair{[2]int{low, low}})
		low++
	}
	for highA > low && highB > low && a[highA-1].diffID == b[highB-1].diffID {
		highA--
		highB--
		tail = append(tail, layerPair{[2]int{highA, highB}})
	}
	slices.Reverse(tail)
	pairs = append(pairs, alignMiddle(a[low:highA], b[low:highB], low)...)
	return append(pairs, tail...)
}

// alignMiddle is alignLayers for the layers from low on, by the length of the
// longest common subsequence of what is left.
func alignMiddle(a, b []layer, low int) []layerPair {
	var pairs []layerPair
	i, j := 0, 0
	if len(a) > 0 && len(b) > 0 && len(a)*len(b) <= maxAligned {
		longest := longestCommon(a, b)
		for i < len(a) && j < len(b) {
			switch {
			case a[i].diffID == b[j].diffID:
				pairs = append(pairs, layerPair{[2]int{low + i, low + j}})
				i++
				j++
			case longest[i+1][j] >= longest[i][j+1]:
				pairs = append(pairs, layerPair{[2]int{low + i, -1}})
				i++
			default:
				pairs = append(pairs, layerPair{[2]int{-1, low + j}})
				j++
			}
		}
	}
	for ; i < len(a); i++ {
		pairs = append(pairs, layerPair{[2]int{low + i, -1}})
	}
	for ; j < len(b); j++ {
		pairs = append(pairs, layerPair{[2]int{-1, low + j}})
	}
	return pairs
}

// longestCommon returns how many layers a from i on and b from j on have in common
// in the same order, for each i and j.
func longestCommon(a, b []layer) [][]int {
	longest := make([][]int, len(a)+1)
	for i := range longest {
		longest[i] = make([]int, len(b)+1)
	}
	for i, one := range slices.Backward(a) {
		for j, other := range slices.Backward(b) {
			longest[i][j] = max(longest[i+1][j], longest[i][j+1])
			if one.diffID == other.diffID {
				longest[i][j] = longest[i+1][j+1] + 1
			}
		}
	}
	return longest
}
