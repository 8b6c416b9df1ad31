package main

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"io"
)

// A flow is so many bytes that follow from a seed, at any offset at once: those of a cipher that counts.
type flow struct {
	seed   uint64
	size   int64
	at     int64
	cipher cipher.Stream // at at; nil where it has to be made
}

func (f *flow) Read(p []byte) (int, error) {
	if f.at >= f.size {
		return 0, io.EOF
	}
	p = p[:min(int64(len(p)), f.size-f.at)]
	if f.cipher == nil {
		if err := f.start(); err != nil {
			return 0, err
		}
	}
	clear(p)
	f.cipher.XORKeyStream(p, p)
	f.at += int64(len(p))
	return len(p), nil
}

func (f *flow) start() error {
	key := binary.BigEndian.AppendUint64(make([]byte, 8), f.seed)
	block, err := aes.NewCipher(key)
	if err != nil {
		return err
	}
	counter := binary.BigEndian.AppendUint64(make([]byte, 8), uint64(f.at/aes.BlockSize))
	f.cipher = cipher.NewCTR(block, counter)
	rest := make([]byte, f.at%aes.BlockSize)
	f.cipher.XORKeyStream(rest, rest)
	return nil
}

func (f *flow) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += f.at
	case io.SeekEnd:
		offset += f.size
	}
	if offset < 0 {
		return 0, errors.New("before the first byte")
	}
	f.at, f.cipher = offset, nil
	return offset, nil
}
