// Package config reads what a machine knows about registries, from wherry's own
// file and from the files of podman, containerd and docker, and gives one view of
// it: for each repository which host serves it, which mirrors stand in front, and
// how each of them is contacted. Every setting remembers where it was found.
//
// # What is read
//
// With HOME, XDG_CONFIG_HOME (else HOME/.config, here "~config") and
// XDG_CACHE_HOME (else HOME/.cache, here "~cache"), in this order:
//
//   - our own file, its section registries: (see below)
//   - the first of ~config/containers/registries.conf,
//     /etc/containers/registries.conf and /usr/share/containers/registries.conf;
//     then the drop-ins *.conf of the folders registries.conf.d beside these
//     three, in the order of their names, of two with one name the one that
//     stands first here. CONTAINERS_REGISTRIES_CONF names the only file instead,
//     CONTAINERS_REGISTRIES_CONF_DIR the only folder of drop-ins, and
//     CONTAINERS_REGISTRIES_CONF_OVERRIDE a file that is read last
//   - short names: ~cache/containers/short-name-aliases.conf, then
//     /var/cache/containers/short-name-aliases.conf
//   - certs.d/HOST/hosts.toml in ~config/containerd and /etc/containerd, and
//     where there is none the certificates in that folder
//   - daemon.json in ~config/docker, ~/.docker and /etc/docker
//   - certificates in certs.d/HOST of ~config/containers, /etc/containers and
//     /usr/share/containers; of ~config/docker, ~/.docker and /etc/docker
//   - HTTP_PROXY, HTTPS_PROXY, NO_PROXY and SSL_CERT_FILE
//
// A file that is missing says nothing. Neither does one of another program that
// we may not read; [View.Files] tells. A file that is broken, or over 1 MiB, is an
// error, and so is one that is missing although a variable names it. Settings of
// other programs that we do not know are passed over; in our own file a setting
// that does not exist is an error.
//
// # Which counts
//
// Setting by setting: our own file beats registries.conf and containers' certs.d,
// these beat hosts.toml, that beats daemon.json and docker's certs.d. The list of
// mirrors is one setting, so are a host's authorities, and each header is one.
// For proxies our own file beats the environment, which beats daemon.json. Within
// registries.conf the longest prefix counts and a drop-in replaces a [[registry]]
// of the same prefix as a whole, as with podman.
//
// Settings belong to a host. A mirror has its own, wherever it is listed: what is
// said about a registry – its headers and client certificates above all – never
// goes to its mirrors.
//
// # Our own file
//
//	registries:
//	  docker.io:                   # a host, or a host and a namespace: docker.io/team
//	    mirrors:                   # asked in this order; [] means none, whatever others say
//	      - mirror.example/hub     # a host, and what takes the place of the namespace
//	      - location: cache.example:5000
//	        capabilities: [pull, resolve] # pull: by digest, the default; resolve: names as well
//	  cache.example:5000:
//	    plainHTTP: true            # http, never https
//	    skipVerify: true           # any certificate will do
//	    ca: ca.pem                 # or a list; relative to this file
//	    clientCertificate: me.pem
//	    clientKey: me.key          # without it the key is in clientCertificate
//	    proxy: http://proxy:3128   # also https and socks5; direct for none
//	    headers: {X-Team: blue}
//	    address: 10.0.0.7:5000     # contacted instead of what the name stands for
//	    dialTimeout: 3s
//	    concurrency: 4             # requests at once
//	    requestsPerSecond: 2.5
package config

// A From says where to look. Nothing else is looked at: not even the environment
// of the process. The zero From finds the files of the system.
type From struct {
	Env  func(string) string // looks up an environment variable; nil knows none
	Home string              // the user's home folder; "" is none
	Root string              // is put before the paths of the system, such as /etc; for tests
	Own  string              // path of our own file; "" is none

	// OwnOnly leaves out what other programs know: registries.conf, hosts.toml,
	// daemon.json, their certificates and short names. The environment counts.
	OwnOnly bool

	// Given are settings from elsewhere, as flags are, by host; those under ""
	// are for every host. They beat all others.
	Given map[string]Host
}

// A View is what is known about registries. It does not change, and may be used
// by several goroutines.
type View struct {
	own        ownConf
	containers containersConf
	aliases    map[string]Value[string] // of short-name-aliases.conf
	containerd containerdConf
	docker     dockerConf

	containersCerts, dockerCerts []certsConf

	proxies proxies
	roots   []Value[string]
	given   map[string]Host
	files   []File
}

// A File is one that was found, or a folder of certificates.
type File struct {
	Path   string
	Unread error // why nothing was taken from it; nil for one that was read

	// How many registries, or parts of registries and networks, it speaks of,
	// mirrors it lists and short names it knows, whether or not they count.
	Registries, Mirrors, ShortNames int
}

// Files returns the files that were found, in the order in which they were read.
func (v *View) Files() []File { return v.files }

// Load reads all there is. The error names the file, line and column of what is
// wrong with the first file that cannot be understood, and is
// [github.com/wherry-dev/wherry/content.ErrInvalid]; errors of reading are those
// of package os.
func Load(from From) (*View, error) {
	if from.Env == nil {
		from.Env = func(string) string { return "" }
	}
	l := &loader{from: from}
	v := &View{given: from.Given}
	steps := []func(*View) error{l.loadOwn, l.loadContainers, l.loadAliases, l.loadContainerd, l.loadDocker, l.loadCerts, l.loadEnvironment}
	if from.OwnOnly {
		steps = []func(*View) error{l.loadOwn, l.loadEnvironment}
	}
	for _, step := range steps {
		if err := step(v); err != nil {
			return nil, err
		}
	}
	v.files = l.files
	return v, nil
}
