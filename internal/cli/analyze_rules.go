package cli

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/docker/go-units"
	"github.com/spf13/pflag"
	"sigs.k8s.io/yaml"

	"github.com/wherry-dev/wherry/content"
	"github.com/wherry-dev/wherry/image"
)

// A RuleResult is a limit that an image was held to.
type RuleResult struct {
	Rule  string  `json:"rule"` // as the flag is called
	Limit float64 `json:"limit"`
	Value float64 `json:"value"`
	OK    bool    `json:"ok"`
}

// The names of rules, which are those of their flags.
const (
	ruleEfficiency = "lowest-efficiency"
	ruleBytes      = "highest-wasted-bytes"
	ruleUser       = "highest-user-wasted-percent"
)

// A rule is a limit for one figure of a [image.Waste].
type rule struct {
	name  string
	file  string // its name in a .dive-ci
	usual string // its limit with --ci, as dive has it; empty is none
	value func(image.Waste) float64
	parse func(string) (float64, error)
}

var ruleKinds = []rule{
	{ruleEfficiency, "lowestEfficiency", "0.9", func(w image.Waste) float64 { return w.Efficiency }, parsePart},
	{ruleBytes, "highestWastedBytes", "", func(w image.Waste) float64 { return float64(w.Bytes) }, parseBytes},
	{ruleUser, "highestUserWastedPercent", "0.1", image.Waste.UserWasted, parsePart},
}

// ruleFlags are the flags that hold an image to limits.
type ruleFlags struct {
	given map[string]*string
	usual bool
	file  string
}

func (o *ruleFlags) bind(flags *pflag.FlagSet) {
	o.given = map[string]*string{ruleEfficiency: new(string), ruleBytes: new(string), ruleUser: new(string)}
	flags.StringVar(o.given[ruleEfficiency], ruleEfficiency, "", "refuse an image of less efficiency than `PART`, 0 to 1")
	flags.StringVar(o.given[ruleBytes], ruleBytes, "", "refuse an image that wastes more than `SIZE`, such as 20MB")
	flags.StringVar(o.given[ruleUser], ruleUser, "", "refuse an image that wastes more than `PART`, 0 to 1, of what is above its lowest layer")
	flags.BoolVar(&o.usual, "ci", false, "hold the image to dive's limits: efficiency 0.9, user wasted 0.1")
	flags.StringVar(&o.file, "ci-config", "", "hold the image to the rules of `FILE`, a .dive-ci, and to dive's limits where it has none")
}

// A limit is a rule with what it asks for.
type limit struct {
	rule
	at float64
}

// rules returns the limits that flags ask for. A flag counts more than the file,
// and that more than what is usual.
func (o *ruleFlags) rules() ([]limit, error) {
	file, err := readRules(o.file)
	if err != nil {
		return nil, err
	}
	var all []limit
	for _, r := range ruleKinds {
		text, where := *o.given[r.name], "--"+r.name
		if text == "" {
			text, where = file[r.file], o.file+": "+r.file
		}
		if _, told := file[r.file]; text == "" && !told && (o.usual || o.file != "") {
			text = r.usual
		}
		switch strings.ToLower(strings.TrimSpace(text)) {
		case "", "disabled", "off", "false":
			continue
		}
		at, err := r.parse(strings.TrimSpace(text))
		if err != nil {
			return nil, usagef("%s: %w", where, err)
		}
		all = append(all, limit{r, at})
	}
	return all, nil
}

// readRules reads the rules of a .dive-ci; none where no file is named. Rules of
// other names are passed over, as dive does.
func readRules(name string) (map[string]string, error) {
	if name == "" {
		return nil, nil //nolint:nilnil // no file has no rules
	}
	raw, err := os.ReadFile(name)
	if err != nil {
		return nil, usagef("--ci-config: %w", err)
	}
	var file struct {
		Rules map[string]any `json:"rules"`
	}
	if err := yaml.Unmarshal(raw, &file); err != nil {
		return nil, usagef("%s is not YAML with rules in it: %w", name, err)
	}
	rules := map[string]string{}
	for key, value := range file.Rules {
		rules[key] = fmt.Sprint(value)
	}
	return rules, nil
}

func parsePart(s string) (float64, error) {
	part, err := strconv.ParseFloat(s, 64)
	if err != nil || !(part >= 0 && part <= 1) {
		return 0, fmt.Errorf("%q is no number from 0 to 1", s)
	}
	return part, nil
}

func parseBytes(s string) (float64, error) {
	parse := units.FromHumanSize
	if strings.Contains(strings.ToLower(s), "ib") {
		parse = units.RAMInBytes
	}
	n, err := parse(s)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%q is no size such as 20MB", s)
	}
	return float64(n), nil
}

// judge holds w to limits.
func judge(limits []limit, w image.Waste) []RuleResult {
	var all []RuleResult
	for _, l := range limits {
		r := RuleResult{Rule: l.name, Limit: l.at, Value: l.value(w)}
		r.OK = r.Value <= r.Limit
		if l.name == ruleEfficiency {
			r.OK = r.Value >= r.Limit
		}
		all = append(all, r)
	}
	return all
}

// found returns the value as it is told: bytes to the last, parts with four digits.
func (r RuleResult) found() string {
	if r.Rule == ruleBytes {
		return fmt.Sprintf("%.0f", r.Value)
	}
	return fmt.Sprintf("%.4g", r.Value)
}

// A wasteError is an image that a rule does not let pass. It is
// [content.ErrInvalid].
type wasteError struct{ rule RuleResult }

// Error says what was found and what is allowed.
func (e *wasteError) Error() string {
	r := e.rule
	switch r.Rule {
	case ruleEfficiency:
		return fmt.Sprintf("efficiency is %s, and --%s allows no less than %g", r.found(), r.Rule, r.Limit)
	case ruleBytes:
		return fmt.Sprintf("%s bytes are wasted, and --%s allows no more than %.0f", r.found(), r.Rule, r.Limit)
	}
	return fmt.Sprintf("%s of what is above the lowest layer is wasted, and --%s allows no more than %g", r.found(), r.Rule, r.Limit)
}

// Is reports whether target is [content.ErrInvalid].
func (e *wasteError) Is(target error) bool { return target == content.ErrInvalid }

// brokenRules returns an error for each rule that does not let the image pass.
func brokenRules(rules []RuleResult) error {
	var failed []error
	for _, r := range rules {
		if !r.OK {
			failed = append(failed, &wasteError{r})
		}
	}
	return errors.Join(failed...)
}
