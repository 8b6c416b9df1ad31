package config

// AuthFiles stands in [View.CredentialHelpers] for the files that have
// credentials themselves.
const AuthFiles = "containers-auth.json"

// CredentialHelpers returns who is to be asked for credentials, in that order:
// names of credential helpers, and [AuthFiles]. Where nobody says anything it is
// the files alone.
//
// https://github.com/containers/image/blob/main/docs/containers-registries.conf.5.md
func (v *View) CredentialHelpers() Value[[]string] {
	if len(v.containers.helpers.Value) == 0 {
		return Value[[]string]{Value: []string{AuthFiles}, From: v.containers.helpers.From}
	}
	return v.containers.helpers
}
