package config

import (
	"regexp"
	"slices"
	"strings"

	"github.com/landfall-dev/landfall/framework/event"
	"github.com/landfall-dev/landfall/framework/fault"
)

// SealedPrefix begins a reference to a secret that is stored encrypted in the state: secret:NAME.
const SealedPrefix = "secret:"

// sealedPattern matches the name of a sealed secret: the instance that it was made for, and the setting.
var sealedPattern = regexp.MustCompile(`^[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+$`)

// SealedName returns the name in a reference to a sealed secret; false if the text is not one.
func SealedName(text string) (string, bool) {
	name, ok := strings.CutPrefix(text, SealedPrefix)
	return name, ok && sealedPattern.MatchString(name)
}

// HasSealed reports whether an enabled instance refers to a sealed secret.
func (c *Config) HasSealed() bool {
	return slices.ContainsFunc(c.Instances, func(in Instance) bool { return len(in.UnopenedSecrets()) > 0 })
}

// UnopenedSecrets returns a problem for each reference to a sealed secret in an enabled instance. A program that does not open them must not
// send the references in their place.
func (in *Instance) UnopenedSecrets() (problems fault.Problems) {
	if !in.Enabled {
		return nil
	}
	refuse := func(name, place string) string {
		problems.Add(place, "is the secret %s in the state of landfall serve, which this program does not open: use ${VARIABLE} or file:PATH", name)
		return ""
	}
	_ = replaceSealed(in.Settings, in.Pointer+"/settings", refuse)
	_ = replaceSealed(in.Auth, in.Pointer+"/auth", refuse)
	return problems
}

// WithSealed returns a copy of the config in which the references to sealed secrets of enabled instances are replaced by the results of
// open. The problems name the references that open cannot replace.
func (c *Config) WithSealed(open func(name string) (string, error)) (*Config, fault.Problems) {
	opened := *c
	opened.Instances, opened.secrets = slices.Clone(c.Instances), slices.Clone(c.secrets)
	var problems fault.Problems
	replace := func(name, place string) string {
		text, err := open(name)
		if err != nil {
			problems.Add(place, "%v", err)
			return ""
		}
		opened.secrets = append(opened.secrets, text)
		return text
	}
	for i := range opened.Instances {
		in := &opened.Instances[i]
		if !in.Enabled {
			continue
		}
		in.Settings = replaceSealed(in.Settings, in.Pointer+"/settings", replace)
		in.Auth = replaceSealed(in.Auth, in.Pointer+"/auth", replace)
		in.AccessToken = in.Auth.Get("accessToken").Str()
	}
	return &opened, c.Document.Locate(problems)
}

// replaceSealed returns v with each reference to a sealed secret replaced by the result of replace, which gets its name and its place.
func replaceSealed(v event.Value, place string, replace func(name, place string) string) event.Value {
	return mapTexts(v, place, func(text, place string) string {
		if name, ok := SealedName(text); ok {
			return replace(name, place)
		}
		return text
	})
}
