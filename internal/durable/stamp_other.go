//go:build !linux && !darwin

package durable

import "os"

func inodeStamp(os.FileInfo) (stamp string, lasting bool) { return "", false }
