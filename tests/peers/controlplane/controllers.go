package main

import (
	"context"
	"flag"
	"os"
	"os/signal"
	"syscall"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/util/keyutil"
	"k8s.io/controller-manager/pkg/informerfactory"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/controller/certificates/rootcacertpublisher"
	"k8s.io/kubernetes/pkg/controller/clusterroleaggregation"
	"k8s.io/kubernetes/pkg/controller/garbagecollector"
	"k8s.io/kubernetes/pkg/controller/namespace"
	serviceaccounts "k8s.io/kubernetes/pkg/controller/serviceaccount"
	"k8s.io/kubernetes/pkg/serviceaccount"
)

// kindsPeriod is how often the garbage collector looks for new kinds. Upstream's 30 s would let the first object that is
// owned by a new custom resource live on for up to 40 s.
const kindsPeriod = 2 * time.Second

// runControllers runs the controllers of upstream that Secrets live with: garbage collector, namespaces, service accounts
// and their tokens, the root CA's config map, aggregated cluster roles.
func runControllers() {
	flags := flag.NewFlagSet("kube-controller-manager", flag.ExitOnError)
	kubeconfig := flags.String("kubeconfig", "", "how to reach the API server")
	tokenKey := flags.String("service-account-private-key-file", "", "what signs the tokens in Secrets")
	rootCA := flags.String("root-ca-file", "", "the CA that is published to namespaces and token Secrets")
	must(0, flags.Parse(os.Args[1:]))

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	config := must(clientcmd.BuildConfigFromFlags("", *kubeconfig))
	config.QPS, config.Burst, config.UserAgent = 1000, 2000, "kube-controller-manager"
	client := must(kubernetes.NewForConfig(config))
	metadataClient := must(metadata.NewForConfig(config))
	ca := must(os.ReadFile(*rootCA))
	key := must(keyutil.PrivateKeyFromFile(*tokenKey))
	tokens := must(serviceaccount.JWTTokenGenerator(serviceaccount.LegacyIssuer, key))

	shared := informers.NewSharedInformerFactory(client, 0)
	sharedMetadata := metadatainformer.NewSharedInformerFactory(metadataClient, 0)
	core := shared.Core().V1()
	started := make(chan struct{})
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(client.Discovery()))
	go wait.UntilWithContext(ctx, func(context.Context) { mapper.Reset() }, 30*time.Second)

	namespaces := namespace.NewNamespaceController(ctx, client, metadataClient,
		client.Discovery().ServerPreferredNamespacedResources, core.Namespaces(), 5*time.Minute, v1.FinalizerKubernetes)
	accounts := must(serviceaccounts.NewServiceAccountsController(klog.FromContext(ctx), core.ServiceAccounts(),
		core.Namespaces(), client, serviceaccounts.DefaultServiceAccountsControllerOptions()))
	accountTokens := must(serviceaccounts.NewTokensController(klog.FromContext(ctx), core.ServiceAccounts(), core.Secrets(),
		client, serviceaccounts.TokensControllerOptions{TokenGenerator: tokens, RootCA: ca}))
	publisher := must(rootcacertpublisher.NewPublisher(core.ConfigMaps(), core.Namespaces(), client, ca))
	aggregation := clusterroleaggregation.NewClusterRoleAggregation(shared.Rbac().V1().ClusterRoles(), client.RbacV1())
	graph := garbagecollector.NewDependencyGraphBuilder(ctx, metadataClient, mapper,
		garbagecollector.DefaultIgnoredResources(), informerfactory.NewInformerFactory(shared, sharedMetadata), started)
	collector := must(garbagecollector.NewComposedGarbageCollector(ctx, client, metadataClient, mapper, graph))

	shared.Start(ctx.Done())
	sharedMetadata.Start(ctx.Done())
	close(started)
	go namespaces.Run(ctx, 10)
	go accounts.Run(ctx, 1)
	go accountTokens.Run(ctx, 5)
	go publisher.Run(ctx, 1)
	go aggregation.Run(ctx, 5)
	go collector.Run(ctx, 20, 30*time.Second)
	collector.Sync(ctx, client.Discovery(), kindsPeriod)
	<-ctx.Done()
}

func must[T any](value T, err error) T {
	if err != nil {
		klog.ErrorS(err, "cannot start")
		klog.FlushAndExit(klog.ExitFlushTimeout, 1)
	}
	return value
}
