//go:build !race

package archive_test

const slower = 1
