import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.util.List;
import org.apache.beam.model.pipeline.v1.Endpoints.ApiServiceDescriptor;
import org.apache.beam.runners.fnexecution.artifact.ArtifactStagingService;
import org.apache.beam.runners.jobsubmission.InMemoryJobService;
import org.apache.beam.runners.spark.SparkJobInvoker;
import org.apache.beam.runners.spark.SparkJobServerDriver;
import org.apache.beam.runners.spark.SparkJobServerDriver.SparkServerConfiguration;
import org.apache.beam.sdk.fn.server.FnService;
import org.apache.beam.sdk.fn.server.GrpcFnServer;
import org.apache.beam.sdk.fn.server.ServerFactory;
import org.apache.beam.sdk.io.FileSystems;
import org.apache.beam.sdk.options.PipelineOptionsFactory;
import org.apache.beam.vendor.grpc.v1p60p1.io.grpc.BindableService;
import org.apache.beam.vendor.grpc.v1p60p1.io.grpc.Server;
import org.apache.beam.vendor.grpc.v1p60p1.io.grpc.netty.NettyServerBuilder;

/** Beam's job server on loopback; Beam's own driver listens on every interface, where whoever reaches it runs code. */
public final class JobServer {
  public static void main(String[] arguments) throws Exception {
    SparkServerConfiguration configuration =
        (SparkServerConfiguration) SparkJobServerDriver.fromParams(arguments).configuration;
    FileSystems.setDefaultPipelineOptions(PipelineOptionsFactory.create());
    GrpcFnServer<ArtifactStagingService> staging =
        serve(
            new ArtifactStagingService(
                ArtifactStagingService.beamFilesystemArtifactDestinationProvider(
                    configuration.getArtifactStagingPath())),
            configuration.getArtifactPort());
    InMemoryJobService jobs =
        InMemoryJobService.create(
            staging,
            session -> session,
            token -> staging.getService().removeStagedArtifacts(token),
            SparkJobInvoker.create(configuration));
    serve(jobs, configuration.getPort()).getServer().awaitTermination();
  }

  private static <T extends FnService> GrpcFnServer<T> serve(T service, int port) throws Exception {
    ApiServiceDescriptor address = ApiServiceDescriptor.newBuilder().setUrl("127.0.0.1:" + port).build();
    return GrpcFnServer.create(service, address, new Loopback());
  }

  private static final class Loopback extends ServerFactory {
    @Override
    public Server create(List<BindableService> services, ApiServiceDescriptor address) throws IOException {
      int port = Integer.parseInt(address.getUrl().split(":")[1]);
      NettyServerBuilder builder =
          NettyServerBuilder.forAddress(new InetSocketAddress(InetAddress.getLoopbackAddress(), port))
              .maxInboundMessageSize(Integer.MAX_VALUE);
      services.forEach(builder::addService);
      return builder.build().start();
    }

    @Override
    public Server allocateAddressAndCreate(List<BindableService> services, ApiServiceDescriptor.Builder address) {
      throw new UnsupportedOperationException("the port is given");
    }
  }
}
