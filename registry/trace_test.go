package registry_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/internal/testregistry"
)

func TestATraceIsToldWhyABlobIsGoneOnWith(t *testing.T) {
	const size = 1 << 20
	raw := random(size, 1)
	tests := []struct {
		name   string
		faults []fault
		want   []string
	}{
		{"nothing wrong", nil, nil},
		{"closed at half", []fault{{Effect: testregistry.CutAfter, N: size / 2, Times: 1}}, []string{"524288 of 1048576: connection closed too early"}},
		{"503 twice", []fault{{Kind: testregistry.KindBlob, Effect: testregistry.Answer, N: 503, Times: 2}}, []string{"0 of 0: 503 Service Unavailable", "0 of 0: 503 Service Unavailable"}},
		{"refused for good", []fault{{Kind: testregistry.KindBlob, Effect: testregistry.Answer, N: 403}}, nil},
		{"cut always: the last try is not one more", []fault{{Effect: testregistry.CutAfter}}, slices.Repeat([]string{"0 of 1048576: connection closed too early"}, 4)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			server := testregistry.Start(t, testregistry.Config{})
			server.PutBlob("app", raw)
			repo := repository(t, client(t), server, "app")
			if _, err := repo.Has(t.Context(), descriptorOf(raw)); err != nil { // the host has been met
				t.Fatal(err)
			}
			server.SetFaults(tt.faults...)
			var got []string
			bytes := map[string]int64{}
			ctx := content.WithTrace(t.Context(), content.Trace{
				Got: func(host string, n int64) { bytes[host] += n },
				Again: func(r content.Retry) {
					if r.Host != server.Host() || r.Sends {
						t.Errorf("told of %+v, want of reading at %s", r, server.Host())
					}
					got = append(got, fmt.Sprintf("%d of %d: %v", r.Offset, r.Desc.Size, r.Reason))
				},
			})
			read, _ := readAll(ctx, repo, raw, content.Range{})
			if !slices.Equal(got, tt.want) {
				t.Errorf("told %q, want %q", got, tt.want)
			}
			if bytes[server.Host()] != int64(len(read)) {
				t.Errorf("told of bytes %v, want %d", bytes, len(read))
			}
		})
	}
}

func TestATraceIsToldWhyAnUploadIsGoneOnWith(t *testing.T) {
	raw := random(1<<20, 1)
	server := testregistry.Start(t, testregistry.Config{})
	server.SetFaults(fault{Method: http.MethodPut, Kind: testregistry.KindUpload, Effect: testregistry.Answer, N: 413, Times: 1})
	var got []content.Retry
	ctx := content.WithTrace(t.Context(), content.Trace{Again: func(r content.Retry) { got = append(got, r) }})
	blob := made(raw)
	if _, err := repository(t, client(t), server, "app").PutBlob(ctx, blob); err != nil {
		t.Fatal(err)
	}
	if len(got) != 1 || !got[0].Sends || got[0].Desc.Digest != descriptorOf(raw).Digest || got[0].Reason.Error() != "413 Request Entity Too Large" {
		t.Errorf("told of %+v, want one upload that goes on after a 413", got)
	}
}

func TestATraceIsToldNoSecret(t *testing.T) {
	const secret = "hunter2-hunter2"
	tries := 0
	c := answering(func(req *http.Request) (*http.Response, error) {
		tries++
		if tries == 1 {
			return answered(req, http.StatusUnauthorized, "WWW-Authenticate", `Basic realm="r"`)
		}
		return nil, errors.New("the server said " + secret)
	}).client()
	c.Keychain = keychain{"ann", secret}
	c.Retries, c.Backoff = 2, 1
	repo, err := c.Repository("r.example", "app")
	if err != nil {
		t.Fatal(err)
	}
	told := ""
	ctx := content.WithTrace(t.Context(), content.Trace{Again: func(r content.Retry) { told += r.Reason.Error() }})
	raw := random(10, 1)
	if _, err := readAll(ctx, repo, raw, content.Range{}); err == nil {
		t.Error("no error")
	}
	if !strings.Contains(told, "the server said ") || strings.Contains(told, secret) {
		t.Errorf("told %q", told)
	}
}
