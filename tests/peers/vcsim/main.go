// vcsim serves govmomi's vSphere simulator on loopback: a server that speaks
// real SOAP and shares no code with ours, for our client to prove itself on.
//
// The first line on standard output is the address. Every request and reply is
// appended to the file named by -trace, so that a test can count calls.
package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"flag"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/url"
	"os"
	"time"

	"github.com/vmware/govmomi/simulator"
)

func main() {
	kind := flag.String("kind", "vpx", "vpx for a vCenter, esx for a stand-alone host")
	machines := flag.Int("vms", 2, "virtual machines per resource pool")
	datacenters := flag.Int("datacenters", 1, "datacenters (vpx only)")
	folders := flag.Int("folders", 0, "folders around each kind of object (vpx only)")
	user := flag.String("user", "user", "the one account")
	password := flag.String("password", "pass", "its password")
	trace := flag.String("trace", "", "file that takes requests and replies")
	flag.Parse()

	var model *simulator.Model
	switch *kind {
	case "vpx":
		model = simulator.VPX()
		model.Datacenter = *datacenters
		model.Folder = *folders
	case "esx":
		model = simulator.ESX()
	default:
		log.Fatalf("-kind is vpx or esx, not %q", *kind)
	}
	model.Machine = *machines
	if err := model.Create(); err != nil {
		log.Fatal(err)
	}
	defer model.Remove()

	if *trace != "" {
		file, err := os.OpenFile(*trace, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			log.Fatal(err)
		}
		defer file.Close()
		simulator.Trace = true
		simulator.TraceFile = file
	}
	log.SetOutput(io.Discard)

	// The simulator's built-in key is RSA with 1024 bits, which a careful client refuses.
	model.Service.TLS = &tls.Config{Certificates: []tls.Certificate{selfSigned()}}
	model.Service.Listen = &url.URL{
		Host: "127.0.0.1:0",
		User: url.UserPassword(*user, *password),
	}
	server := model.Service.NewServer()
	defer server.Close()
	fmt.Printf("https://%s/sdk\n", server.URL.Host)

	// The parent holds the other end of standard input: when it goes, so do we.
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// selfSigned makes a certificate that only its own key vouches for.
func selfSigned() tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		Subject:      pkix.Name{CommonName: "vcsim"},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(24 * time.Hour),
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		log.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
