package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	taggedRepository = "tagged"
	taggedImages     = 500
)

// tagList lists what many tags stand for: wherry, a client that sends the same requests and does nothing else, and what
// people write in a shell.
var tagList = scenario{
	name: "tags", title: "What 500 tags stand for", peerRuns: 1,
	note: "Each tag is an image of its own, of one platform. `wherry tags -l` with a new home, and again with what it remembers from before; a client " +
		"of this program that sends the same requests, sixteen at once, and reads nothing of the answers but digests; and loops of a shell that ask " +
		"each tag for its digest, manifest and config with one of the other tools (skopeo has one command for all). The loops run once, and remember nothing.",
	alone: func(ctx context.Context, b *bench, r *result) error {
		t, err := b.wherry()
		if err != nil {
			return err
		}
		if err := b.src.pushTagged(ctx, taggedImages); err != nil {
			return err
		}
		state := filepath.Join(b.memory, "state")
		again := t
		again.env = append(slices.Clip(again.env), "XDG_STATE_HOME="+state)
		repository := b.src.host + "/" + taggedRepository
		list := func(t tool, name string) lister {
			return func(ctx context.Context) (sample, error) {
				return b.listTags(ctx, t, name, []string{"tags", "-l", repository})
			}
		}
		arms := []struct {
			name string
			run  lister
		}{
			{own, list(t, "tags-first")},
			{own + ", again", list(again, "tags-again")},
			{"minimal client", func(ctx context.Context) (sample, error) { return b.minimal(ctx, repository, everything) }},
			{"minimal client, again", func(ctx context.Context) (sample, error) { return b.minimal(ctx, repository, digests) }},
		}
		for _, loop := range loops(b.tools[1:], repository) {
			arms = append(arms, struct {
				name string
				run  lister
			}{loop.name, func(ctx context.Context) (sample, error) { return b.listTags(ctx, loop, "tags-loop", loop.version) }})
		}
		for _, a := range arms {
			r.Tools = append(r.Tools, row{Name: a.name})
		}
		for round := range r.Runs + 1 {
			for i, a := range arms {
				if i >= alwaysThere && round != 1 {
					continue
				}
				s, err := a.run(ctx)
				switch {
				case err != nil && (i < alwaysThere || ctx.Err() != nil):
					return err
				case err != nil:
					r.Tools[i].Failed = err.Error()
				case round > 0:
					r.Tools[i].Samples = append(r.Tools[i].Samples, s)
					report(r.Name, a.name, s)
				}
			}
		}
		r.Bars = tagBars(r.Tools)
		return nil
	},
}

// alwaysThere are the arms that must not fail: wherry's and the minimal client's. The loops behind them run once.
const alwaysThere = 4

// A lister lists all tags once.
type lister func(context.Context) (sample, error)

// tagBars are asked of wherry's two rows, which the same client's two follow, and then the loops.
func tagBars(rows []row) []bar {
	middle := func(i int) float64 { return spreadOf(rows[i].column(wall)).median }
	bars := []bar{
		atMost("wall of wherry ÷ minimal client's", "%.2f", middle(0)/middle(2), 2),
		atMost("wall of wherry, again ÷ minimal client's, again", "%.2f", middle(1)/middle(3), 2),
		atMost("requests of wherry, again", "%.0f", spreadOf(rows[1].column(requests)).most, taggedImages+1),
	}
	for i, loop := range rows[alwaysThere:] {
		if loop.Failed != "" {
			continue
		}
		for first, name := range []string{"wherry's", "wherry's, again"} {
			got := middle(alwaysThere+i) / middle(first)
			bars = append(bars, bar{What: "wall of " + loop.Name + " ÷ " + name, Got: fmt.Sprintf("%.0f", got), Want: "≥ 20", Reached: got >= 20})
		}
	}
	return bars
}

// loops are what people write with each tool to learn of every tag its digest, manifest and config. Their version is the
// script.
func loops(tools []tool, repository string) []tool {
	scripts := map[string]string{
		"crane":  `%[1]s ls %[2]s | while read t; do %[1]s digest %[2]s:$t; %[1]s manifest %[2]s:$t; %[1]s config %[2]s:$t; done`,
		"regctl": `H="--host reg=%[3]s,tls=disabled"; %[1]s $H tag ls %[2]s | while read t; do %[1]s $H manifest head %[2]s:$t; %[1]s $H manifest get %[2]s:$t; %[1]s $H image config %[2]s:$t; done`,
		"oras":   `%[1]s repo tags --plain-http %[2]s | while read t; do %[1]s resolve --plain-http %[2]s:$t; %[1]s manifest fetch --plain-http %[2]s:$t; %[1]s manifest fetch-config --plain-http %[2]s:$t; done`,
		"skopeo": `%[1]s list-tags --tls-verify=false docker://%[2]s | sed -n 's/^ *"\(v[0-9]*\)",*$/\1/p' | while read t; do %[1]s inspect --no-tags --tls-verify=false docker://%[2]s:$t; done`,
	}
	var all []tool
	for _, t := range tools {
		script := fmt.Sprintf("set -e; "+scripts[t.name], t.path, repository, filepath.Dir(repository))
		all = append(all, tool{name: "loop over " + t.name, path: "/bin/sh", version: []string{"-c", script}, env: t.env})
	}
	return all
}

func (b *bench) listTags(ctx context.Context, t tool, name string, args []string) (sample, error) {
	asked := b.asked()
	s, err := b.trial(ctx, trial{name: name, tool: t, args: func(string) []string { return args }, check: func(string) error { return nil }})
	s.Requests = b.asked() - asked
	return s, err
}

// A depth is how much the minimal client asks for.
type depth uint8

const (
	digests    depth = iota // of each tag
	everything              // its manifest and config too
)

// minimalAtOnce is how many requests the minimal client has under way.
const minimalAtOnce = 16

// minimal sends the requests that listing tags takes, and hardly reads the answers.
func (b *bench) minimal(ctx context.Context, repository string, d depth) (sample, error) {
	asked, start := b.asked(), time.Now()
	client := http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: minimalAtOnce}}
	defer client.CloseIdleConnections()
	host, name := filepath.Split(repository)
	ask := func(ctx context.Context, method, path string) ([]byte, error) {
		req, err := http.NewRequestWithContext(ctx, method, "http://"+host+"v2/"+name+path, nil)
		if err != nil {
			return nil, err
		}
		req.Header.Set("Accept", typeManifest)
		resp, err := client.Do(req)
		if err != nil {
			return nil, err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return nil, fmt.Errorf("%s %s: %s", method, path, resp.Status)
		}
		return io.ReadAll(resp.Body)
	}
	var list struct{ Tags []string }
	raw, err := ask(ctx, http.MethodGet, "/tags/list")
	if err == nil {
		err = json.Unmarshal(raw, &list)
	}
	if err != nil {
		return sample{}, err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(minimalAtOnce)
	for _, tag := range list.Tags {
		g.Go(func() error {
			if d == digests {
				_, err := ask(ctx, http.MethodHead, "/manifests/"+tag)
				return err
			}
			raw, err := ask(ctx, http.MethodGet, "/manifests/"+tag)
			var m manifest
			if err == nil {
				err = json.Unmarshal(raw, &m)
			}
			if err == nil {
				_, err = ask(ctx, http.MethodGet, "/blobs/"+m.Config.Digest)
			}
			return err
		})
	}
	err = g.Wait()
	wall := time.Since(start)
	return sample{Wall: wall.Seconds(), Requests: b.asked() - asked}, err
}

// pushTagged pushes n images of one layer, which they share, under the tags v0 and so on.
func (r *registry) pushTagged(ctx context.Context, n int) error {
	layer, err := r.pushBlob(ctx, taggedRepository, bytes.NewReader([]byte("layer")))
	if err != nil {
		return err
	}
	layer.MediaType = typeLayer
	for i := range n {
		raw, err := json.Marshal(map[string]any{"os": "linux", "architecture": "amd64", "created": time.Unix(int64(i)*1e5, 0).UTC()})
		if err != nil {
			return err
		}
		config, err := r.pushBlob(ctx, taggedRepository, bytes.NewReader(raw))
		if err != nil {
			return err
		}
		config.MediaType = typeConfig
		body, err := json.Marshal(manifest{SchemaVersion: 2, MediaType: typeManifest, Config: config, Layers: []descriptor{layer}})
		if err != nil {
			return err
		}
		url := fmt.Sprintf("http://%s/v2/%s/manifests/v%d", r.host, taggedRepository, i)
		if _, err := send(ctx, call{http.MethodPut, url, typeManifest, bytes.NewReader(body), http.StatusCreated}); err != nil {
			return err
		}
	}
	return nil
}
