// Package profiles tests that wherry gets on with registries as they are: the same suites run against the profile of
// each, and they fail where the client leaves out the answer that a registry needs.
package profiles

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wherry-dev/wherry/internal/testregistry"
	"github.com/wherry-dev/wherry/registry"
)

// answers are what the client does about each rule; the other rules are in unanswered.
var answers = map[string]registry.Answer{
	"absent-403":          registry.WriteUnseen,
	"access-token":        registry.AccessTokens,
	"bare-401":            registry.PingForChallenge,
	"blind-head":          registry.DoubtHead,
	"created-chunks":      registry.TakeCreated,
	"digest-tags":         registry.SkipDigests,
	"early-416":           registry.BeginAnew,
	"gzip":                registry.Inflate,
	"head-length":         registry.Inflate,
	"half-written":        registry.PutAgain,
	"ignore-range":        registry.SkipToRange,
	"max-body":            registry.SendChunks,
	"max-chunk":           registry.SendChunks,
	"mount-403":           registry.SendUnmounted,
	"moving-session":      registry.FollowSession,
	"moved-referrers":     registry.FallbackTag,
	"named-scope":         registry.NamedScopes,
	"need-length":         registry.TellLength,
	"next-page":           registry.TurnPages,
	"no-chunks":           registry.SendWhole,
	"no-delete-scope":     registry.AllActions,
	"no-digest":           registry.CompleteHead,
	"no-head":             registry.ReplaceHead,
	"no-mount":            registry.SendUnmounted,
	"no-referrers":        registry.FallbackTag,
	"no-referrers-filter": registry.FilterReferrers,
	"no-scope":            registry.OwnScopes,
	"no-token-post":       registry.GetTokens,
	"null-tags":           registry.SkipNulls,
	"page-size":           registry.TurnPages,
	"pulls":               registry.AskByHead,
	"slow-down":           registry.ComeBack,
	"status":              registry.ComeBack,
	"storage":             registry.TrustRedirect,
	"stuck-range":         registry.SendWhole,
	"token-uses":          registry.RenewTokens,
	"untag-path":          registry.UntagAtPath,
	"url-end":             registry.AskForURL,
}

// unanswered are the rules without an answer that could be left out: what the specification asks of every client
// is all that is done about them, or nothing can be done and the user is told.
var unanswered = map[string]string{
	"cookies":          "no client has to keep cookies, and wherry does not",
	"hide-expiry":      "the token specification says how long such a token lives",
	"max-n":            "how many names are on a page is left to the registry",
	"must-exist":       "the user is told how to make a repository",
	"no-delete":        "the user is told where deletion is switched on",
	"oci-only":         "the user is told what the registry takes",
	"summed-referrers": "a manifest has the size that its bytes have",
	"tag-extras":       "what else a list says is passed over",
	"unknown-class":    "the user is told what the registry refuses",
	"unknown-code":     "what is not found has the status 404",
	"upload-elsewhere": "a session is where its Location says",
}

// unmet are the rules that the client, with all its answers, never gives cause to.
var unmet = []string{"max-n", "need-length"}

func TestEveryRegistryPassesTheSuites(t *testing.T) {
	for _, p := range testregistry.Profiles() {
		t.Run(p.Name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, p, 0)
			for _, suite := range suites {
				if err := suite.run(t.Context(), s); err != nil {
					t.Fatalf("%s: %v", suite.name, err)
				}
			}
			for _, rule := range p.Rules {
				if hits := s.server.Hits(rule.Key()); (hits > 0) == slices.Contains(unmet, rule.Key()) {
					t.Errorf("rule %s was hit %d times", rule.Word, hits)
				}
			}
		})
	}
}

// TestEveryAnswerIsNeeded leaves out one answer after the other: a suite that
// passes all the same would say nothing about the rule. With that answer it passes,
// or what fails would be something else.
func TestEveryAnswerIsNeeded(t *testing.T) {
	for _, p := range testregistry.Profiles() {
		for _, rule := range p.Rules {
			without := answers[rule.Key()]
			if without == 0 {
				continue
			}
			t.Run(p.Name+"/"+rule.Key(), func(t *testing.T) {
				t.Parallel()
				ctx, stop := context.WithTimeout(t.Context(), time.Minute)
				defer stop()
				reduced := alone(p, rule)
				if len(reduced.Rules) < len(p.Rules) { // the whole profile passes, see above
					if err := runAll(ctx, newScene(t, reduced, 0)); err != nil {
						t.Fatalf("with all answers: %v", err)
					}
				}
				err := runAll(ctx, newScene(t, reduced, without))
				switch {
				case err == nil:
					t.Error("the suites pass without the answer to it")
				case errors.Is(err, context.DeadlineExceeded):
					t.Errorf("the suites came to no end: %v", err)
				default:
					t.Log(err)
				}
			})
		}
	}
}

// alone returns p without the other rules that need the same answer as rule.
func alone(p testregistry.Profile, rule testregistry.Rule) testregistry.Profile {
	p.Rules = slices.DeleteFunc(slices.Clone(p.Rules), func(r testregistry.Rule) bool {
		return r != rule && answers[r.Key()] == answers[rule.Key()] && answers[r.Key()] != 0
	})
	return p
}

func runAll(ctx context.Context, s *scene) error {
	for _, suite := range suites {
		if err := suite.run(ctx, s); err != nil {
			return fmt.Errorf("%s: %w", suite.name, err)
		}
	}
	return nil
}

func TestEveryRuleHasAnAnswerAndASource(t *testing.T) {
	names := answerNames(t)
	page := string(readFile(t, "../../docs/registries.md"))
	var needed registry.Answer
	for _, p := range testregistry.Profiles() {
		_, section, found := strings.Cut(page, ": `"+p.Name+"`\n")
		section, _, _ = strings.Cut(section, "\n## ")
		if !found {
			t.Errorf("%s is not in docs/registries.md", p.Name)
		}
		for _, rule := range p.Rules {
			answer, reason := answers[rule.Key()], unanswered[rule.Key()]
			if (answer == 0) == (reason == "") {
				t.Errorf("%s: rule %s has answer %d and reason %q for having none", p.Name, rule.Word, answer, reason)
			}
			needed |= answer
			if !documented(section, rule, names[answer]) {
				t.Errorf("%s: rule %s with answer %q and source %s is not in docs/registries.md", p.Name, rule.Word, names[answer], rule.Source)
			}
		}
	}
	for answer, name := range names {
		if needed&answer == 0 {
			t.Errorf("no rule needs the answer %s", name)
		}
	}
}

// documented reports whether a section has a row for the rule, with its answer.
func documented(section string, rule testregistry.Rule, answer string) bool {
	if answer != "" {
		answer = "`" + answer + "`"
	}
	return slices.ContainsFunc(strings.Split(section, "\n"), func(row string) bool {
		cell := strings.Split(row, "|")
		return len(cell) > 5 && strings.Contains(cell[1], "`"+rule.Key()+"`") && strings.TrimSpace(cell[3]) == answer &&
			strings.HasPrefix(rule.Source, "https://") && strings.Contains(cell[5], "("+rule.Source+")")
	})
}

// answerNames reads what answers there are: each is one bit, in their order.
func answerNames(t *testing.T) map[registry.Answer]string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "answers.go", readFile(t, "../../registry/answers.go"), parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	names := map[registry.Answer]string{}
	for _, d := range file.Decls {
		constants, is := d.(*ast.GenDecl)
		if !is || constants.Tok != token.CONST {
			continue
		}
		for i, spec := range constants.Specs {
			if value, is := spec.(*ast.ValueSpec); is {
				names[registry.Answer(1)<<i] = value.Names[0].Name
			}
		}
	}
	if names[registry.SkipToRange] != "SkipToRange" {
		t.Fatalf("answers %v", names)
	}
	return names
}

func readFile(t *testing.T, name string) []byte {
	t.Helper()
	raw, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
