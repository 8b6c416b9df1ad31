package canary

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// helpers are programs that keep credentials, by name: what each does when it is called.
var helpers = map[string]string{
	"fine":     answer(said, 0),
	"noisy":    answer(said, 0) + "\n: " + traced,
	"silent":   "#!/bin/sh\nexit 1\n",
	"leaky":    "#!/bin/sh\n" + traced + "echo 'the keychain is locked'\nexit 1\n",
	"spilling": answer(said, 1),
	"broken":   answer(said[:len(said)-1], 0),
	"plain":    answer("the secret is "+helped, 1),
	"parrot":   "#!/bin/sh\ntold=$(cat)\necho \"told: $told\"; echo \"told: $told\" >&2\nexit 1\n",
}

var said = `{"Username": "ann", "Secret": ` + quote(helped) + `}`

const traced = "cat >&2 <<'EOF'\n+ curl -u ann:" + helped + "\nEOF\n"

// answer is a program that says what it is told to, whatever it is asked.
func answer(text string, code int) string {
	return fmt.Sprintf("#!/bin/sh\ncat <<'EOF'\n%s\nEOF\nexit %d\n", text, code)
}

func failingHelpers() (all []failure) {
	for name := range helpers {
		f := failure{name: "credential helper " + name, registry: withBasic, local: true, home: map[string]string{
			credentialFile: `{"credHelpers": {"FROM": "` + name + `"}, "auths": {"other.example": {"auth": ` + quote(basic(foreign)) + `}}}`,
		}}
		all = append(all, f)
	}
	return all
}

// brokenFiles are files of a user that cannot be read, and have secrets in them.
func brokenFiles() (all []failure) {
	auth := base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
	for name, text := range map[string]string{
		"that ends early":        `{"auths": {"FROM": {"auth": "` + auth,
		"that is no JSON":        user + ":" + password,
		"of another form":        `{"auths": "` + auth + `"}`,
		"with a number":          `{"auths": {"FROM": {"auth": 5, "password": ` + quote(password) + `}}}`,
		"with no base64":         `{"auths": {"FROM": {"auth": ` + quote(password) + `}}}`,
		"with base64 of nothing": `{"auths": {"FROM": {"auth": "` + base64.StdEncoding.EncodeToString([]byte(password)) + `"}}}`,
		"with a user in a key":   `{"auths": {` + quote("https://ann:"+password+"@FROM/v1/") + `: {}, "FROM": ""}}`,
		"with a helper's name":   `{"credsStore": ` + quote(password) + `}`,
	} {
		all = append(all, failure{name: "credentials " + name, registry: withBasic, local: true, home: map[string]string{credentialFile: text}})
	}
	all = append(
		all,
		failure{name: "DOCKER_AUTH_CONFIG that ends early", registry: withBasic, local: true, env: map[string]string{"DOCKER_AUTH_CONFIG": `{"auths": {"FROM": {"auth": "` + basic(foreign)}},
		failure{name: "DOCKER_AUTH_CONFIG that is no JSON", registry: withBasic, local: true, env: map[string]string{"DOCKER_AUTH_CONFIG": basic(foreign)}},
		failure{name: "DOCKER_AUTH_CONFIG with no base64", registry: withBasic, local: true, env: map[string]string{"DOCKER_AUTH_CONFIG": `{"auths": {"FROM": {"auth": "` + foreign + `"}}}`}},
		failure{name: "HTTPS_PROXY that is none", registry: withBasic, local: true, env: map[string]string{"HTTPS_PROXY": "http://bob:" + proxied + "%zz@ x"}},
	)
	for name, text := range settings {
		all = append(all, failure{name: "settings " + name, registry: withBasic, local: true, home: map[string]string{"xdg/wherry/config.yaml": text}})
	}
	return append(all, failure{
		name: "registries.conf with a user", registry: withBasic, local: true, env: map[string]string{"WHERRY_OWN_ONLY": ""},
		home: map[string]string{"xdg/containers/registries.conf": "[[registry]]\nlocation = \"bob:" + url.PathEscape(proxied) + "@FROM\"\n"},
	})
}

// settings are our own file, wrong.
var settings = map[string]string{
	"that end early":                      "registries:\n  \"FROM\":\n    headers: {X-Token: " + quote(header),
	"with a header in a list":             "registries:\n  \"FROM\":\n    headers: [" + quote(header) + "]\n",
	"with a header as text":               "registries:\n  \"FROM\":\n    headers: " + quote(header) + "\n",
	"with a header that cannot be":        "registries:\n  \"FROM\":\n    headers: {X-Token: " + quote(header+"\n") + "}\n",
	"with a header's name that cannot":    "registries:\n  \"FROM\":\n    headers: {" + quote("X-Token: "+header) + ": x}\n",
	"with a header's name in front":       "registries:\n  \"FROM\":\n    " + agent + ": x\n",
	"with a header at the top":            agent + ": x\n",
	"with a header twice":                 "registries:\n  \"FROM\":\n    headers: {" + agent + ": x, " + agent + ": y}\n",
	"with a tab":                          "registries:\n\t\"FROM\":\n\t\theaders: {X-Token: " + quote(header) + "}\n",
	"with an escape that is none":         "registries:\n  \"FROM\":\n    headers: {X-Token: \"" + agent + "\\q\"}\n",
	"with an alias":                       "registries:\n  \"FROM\":\n    headers: {X-Token: *" + agent + "}\n",
	"with a tag":                          "registries:\n  \"FROM\":\n    headers: {X-Token: !" + agent + " x}\n",
	"with a directive":                    "%" + agent + "\nregistries: {}\n",
	"with a proxy that is none":           "registries:\n  \"FROM\":\n    proxy: \"http://bob:" + url.QueryEscape(proxied) + "@%zz\"\n",
	"with a proxy of another kind":        "registries:\n  \"FROM\":\n    proxy: \"ftp://bob:" + url.QueryEscape(proxied) + "@proxy.example\"\n",
	"with a user in an address":           "registries:\n  \"FROM\":\n    address: \"bob:" + url.QueryEscape(proxied) + "@proxy.example\"\n",
	"with a user in a mirror":             "registries:\n  \"FROM\":\n    mirrors: [\"bob:" + url.QueryEscape(proxied) + "@mirror.example\"]\n",
	"with a user in a mirror's URL":       "registries:\n  \"FROM\":\n    mirrors: [\"https://bob:" + url.QueryEscape(proxied) + "@mirror.example\"]\n",
	"with a user in a host":               "registries:\n  \"bob:" + url.QueryEscape(proxied) + "@FROM\": {}\n",
	"with a user in a host of plain http": "plainHTTP: [\"bob:" + url.QueryEscape(proxied) + "@FROM\"]\n",
	"with a progress that is none":        "progress: " + agent + "\n",
	"with a key that is none":             "registries:\n  \"FROM\":\n    clientCertificate: HOME/certificates/client.key\n",
	"with a key in place of its file":     "registries:\n  \"FROM\":\n    clientCertificate: HOME/certificates/none.pem\n    clientKey: \"-----BEGIN EC PRIVATE KEY-----\\n" + key + "\\n\"\n",
	"with a key in place of authorities":  "registries:\n  \"FROM\":\n    ca: HOME/certificates/client.key\n",
}

// proxies are in the way to the registry.
func proxies() []failure {
	through := func(name string, answer func(rw http.ResponseWriter, said string)) failure {
		return failure{name: "proxy that " + name, serve: func(_ *world, rw http.ResponseWriter, req *http.Request) {
			answer(rw, strings.TrimSpace(req.Header.Get("Proxy-Authorization")+" "+proxied))
		}, home: map[string]string{"xdg/wherry/config.yaml": "registries:\n  \"FROM\":\n    proxy: \"http://bob:" + url.QueryEscape(proxied) + "@FROM\"\n"}}
	}
	return []failure{
		through("wants another password", func(rw http.ResponseWriter, said string) {
			conn, buffer, err := http.NewResponseController(rw).Hijack()
			if err != nil {
				return
			}
			_, _ = buffer.WriteString("HTTP/1.1 407 you are " + said + "\r\nProxy-Authenticate: Basic realm=\"" + said + "\"\r\nWarning: " + said + "\r\nContent-Length: " +
				fmt.Sprint(len(said)) + "\r\n\r\n" + said)
			_ = buffer.Flush()
			_ = conn.Close()
		}),
		through("refuses", func(rw http.ResponseWriter, said string) { http.Error(rw, said, http.StatusForbidden) }),
		through("speaks nonsense", func(rw http.ResponseWriter, said string) {
			conn, buffer, err := http.NewResponseController(rw).Hijack()
			if err != nil {
				return
			}
			_, _ = buffer.WriteString(said + "\r\n\r\n")
			_ = buffer.Flush()
			_ = conn.Close()
		}),
		{name: "proxy that is not there", registry: withBasic, local: true, home: map[string]string{
			"xdg/wherry/config.yaml": "registries:\n  \"FROM\":\n    proxy: \"http://bob:" + url.QueryEscape(proxied) + "@127.0.0.1:9\"\n",
		}},
		{name: "proxy that does not speak TLS", registry: withBasic, local: true, home: map[string]string{
			"xdg/wherry/config.yaml": "registries:\n  \"FROM\":\n    proxy: \"https://bob:" + url.QueryEscape(proxied) + "@FROM\"\n",
		}},
	}
}
